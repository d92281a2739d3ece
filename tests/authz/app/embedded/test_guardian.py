"""Where a process may make a group of its own, by the files of /proc as kernels show them."""

from pathlib import Path

import pytest

from authz.app.embedded.guardian import cpu_group, text_of

V1 = "36 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
V1_OTHER = "35 31 0:28 / /sys/fs/cgroup/cpuset rw,nosuid - cgroup cgroup rw,cpuset\n"
V2 = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_BESIDE = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
DISK = "26 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"


@pytest.mark.parametrize(
    ("cgroup", "mounts", "group"),
    [
        ("0::/user.slice/session-3.scope\n", DISK + V2,
         "/sys/fs/cgroup/user.slice/session-3.scope"),
        ("0::/\n", DISK + V2, "/sys/fs/cgroup"),
        ("4:cpu,cpuacct:/jobs/7\n3:cpuset:/\n0::/\n", V1_OTHER + V1 + V2_BESIDE,
         "/sys/fs/cgroup/cpu,cpuacct/jobs/7"),
        # The older hierarchies are there, but the processor is not among them.
        ("3:cpuset:/\n0::/jobs\n", V1_OTHER + V2_BESIDE, "/sys/fs/cgroup/unified/jobs"),
        # A container sees its own part of the tree.
        ("0::/docker/abc/inner\n", "9 8 0:5 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/inner"),
        ("0::/docker/abc\n", "9 8 0:5 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup"),
        # And one that was moved out of it has no place in it.
        ("0::/docker/abcd\n", "9 8 0:5 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", None),
        ("0::/\n", DISK, None),
        ("", V2, None),
    ],
)  # fmt: skip
def test_the_group_of_the_processor(cgroup: str, mounts: str, group: str | None) -> None:
    assert cpu_group(cgroup, mounts) == group


def test_a_folder_whose_name_is_no_text_hides_no_other(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    odd = b"\xff\xfe \x0b \x0c \x1c \r \xc2\x85 \xe2\x80\xa8".split()  # line ends elsewhere
    lines = [b"27 1 0:9 / /mnt/%s rw - ext4 /dev/vdb rw\n" % name for name in odd]
    mounts.write_bytes(b"".join(lines) + V2.encode())
    assert cpu_group("0::/jobs\n", text_of(str(mounts))) == "/sys/fs/cgroup/jobs"
