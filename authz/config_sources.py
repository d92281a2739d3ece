"""Where configuration comes from: a TOML file, the environment, flags. No key is known here.

`authz/config.py` says which sections and keys there are; this gathers their values, the
stronger source over the weaker, each checked against the type of its key.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

FILE = "file:"  # begins a text that names a file instead of saying it
# The sections that may stand more than once; of the first there is one at least.
ONE, LISTED = "link", ("link", "hold", "check", "cycle", "interchange", "fx")
Sections = Mapping[str, type[Struct]]
Table = dict[str, Any]


class ConfigError(Exception):
    """A value that cannot be used. The text starts with the key's path, and quotes no secret."""


class Secret:
    """Text that is never printed; `reveal` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "‹hidden›"


class Sources:
    """The values found so far, by section. Read the weakest source first."""

    def __init__(self, sections: Sections, secrets: Mapping[str, str]) -> None:
        self._sections = sections
        self._secrets = secrets  # key of a secret: key of the file that may hold it
        self.tables: dict[str, Table] = {name: {} for name in sections if name not in LISTED}
        self.listed: dict[str, list[Table]] = {name: [{}] if name == ONE else [] for name in LISTED}

    def read_file(self, path: Path) -> None:
        base = path.absolute().parent  # a path in a file speaks from where the file lies
        for name, content in parse_toml(path).items():
            if name in LISTED:
                if not isinstance(content, list) or not content:
                    raise ConfigError(f"{name}: one or more are needed, each written [[{name}]]")
                self.listed[name] = [
                    self._read_table(name, f"{name}[{at}]", row, base)
                    for at, row in enumerate(content)
                ]
            elif name in self._sections:
                self.tables[name] = self._read_table(name, name, content, base)
            else:
                raise ConfigError(f"{name}: unknown section{suggestion(name, self._sections)}")

    def read_env(self, env: Mapping[str, str]) -> None:
        """AUTHZ_SECTION_KEY. An empty one counts as not set: compose files spell it so."""
        for name, text in sorted(env.items()):
            section, _, attribute = name.removeprefix("AUTHZ_").lower().partition("_")
            if name.startswith("AUTHZ_") and section in self._sections and text:
                self._put(section, attribute, text, name)

    def read_flags(self, flags: Mapping[str, object]) -> None:
        """Named by path, as in "engine.budget_ms"; None means that the flag was not given."""
        for key, value in flags.items():
            assert key not in self._secrets, "flags are seen by all who can list processes"
            if value is not None:
                section, _, attribute = key.partition(".")
                self._put(section, attribute, value, "flag")

    def read_secret_files(self) -> None:
        """The secrets that lie in files of their own, unless the environment said them."""
        for key, file_key in self._secrets.items():
            section, _, attribute = key.partition(".")
            table = self.tables[section]
            file = table.get(file_key.partition(".")[2])
            if attribute in table or file is None:
                continue
            text = read_text(file, file_key).strip()
            if not text:
                raise ConfigError(f"{file_key}: the file is empty")
            table[attribute] = Secret(text)

    def _read_table(self, section: str, where: str, content: object, base: Path) -> Table:
        if not isinstance(content, dict):
            raise ConfigError(f"{where}: is a section, written [{section}]")
        for key in (f"{section}.{attribute}" for attribute in content):
            if key in self._secrets:
                name = f"AUTHZ_{key.replace('.', '_').upper()}"
                raise ConfigError(f"{key}: a secret; use {name} or {self._secrets[key]}")
        return {
            attribute: self._convert(f"{where}.{attribute}", section, attribute, value, base)
            for attribute, value in content.items()
        }

    def _put(self, section: str, attribute: str, value: object, source: str) -> None:
        """A flag or a variable. For a listed section it means the only one there is."""
        key = f"{section}.{attribute}"
        if section in LISTED and len(self.listed[section]) != 1:
            count = len(self.listed[section])
            raise ConfigError(f"{key}: there are {count}, so set it in the file ({source})")
        table = self.listed[section][0] if section in LISTED else self.tables[section]
        try:
            table[attribute] = self._convert(key, section, attribute, value, None)
        except ConfigError as error:
            raise ConfigError(f"{error} ({source})") from None

    def _convert(
        self, where: str, section: str, attribute: str, value: object, base: Path | None
    ) -> object:
        """One value as its key's type. A file has types; what has no base is text to be read."""
        types = {
            field.name: field.type for field in msgspec.structs.fields(self._sections[section])
        }
        if attribute not in types:
            raise ConfigError(f"{where}: unknown key{suggestion(attribute, types)}")
        kinds = {types[attribute], *get_args(types[attribute])}
        if kinds & {Path, Secret}:
            if not isinstance(value, str | Path) or not str(value):
                raise ConfigError(f"{where}: expected text")
            if Secret in kinds:
                return Secret(str(value).strip())
            return (base or Path.cwd()) / Path(value).expanduser()
        if isinstance(value, str) and value.startswith(FILE):
            value = f"{FILE}{(base or Path.cwd()) / Path(value.removeprefix(FILE)).expanduser()}"
        try:
            return msgspec.convert(value, types[attribute], strict=base is not None)
        except msgspec.ValidationError as error:
            if known := names_of(types[attribute]):
                raise ConfigError(f"{where}: unknown; known are {', '.join(known)}") from None
            text = str(error)
            raise ConfigError(f"{where}: {text[0].lower()}{text[1:]}") from None


def names_of(kind: Any) -> list[str]:
    """What a key may be that is one of a few names; nothing for any other."""
    if get_origin(kind) is not Literal:
        return []
    return [str(name) for name in get_args(kind) if name]


def parse_toml(path: Path) -> Table:
    try:
        return tomllib.loads(read_text(path, str(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def read_text(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: not UTF-8") from None


def suggestion(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
