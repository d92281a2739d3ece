#!lua name=authz
--[[
What the functions of the hot state share. The files of this folder are joined into
one library by library.py, this one first.

Rules of the house, for every function:
  - One act, one call, all or nothing. Redis functions do not roll back, so every
    argument is checked and every key is read before the first write; below the
    line "From here on only writes" no command may fail. (The first of them may, where
    nothing was read of its key: then nothing has been written.)
  - Integers only, at most 2^53 - 1: Lua numbers are doubles.
  - No function knows what a merchant is. Python decides what applies; here it is
    added, compared and recorded.
  - Replies are flat lists that start with the message id and the name of what
    happened. Names that are no verdict: cold (the gate is closed), late (the
    deadline has passed), full (the journal is at its bound), stale (the plan was
    made from old facts), withdrawn (this attempt was taken back before it ran).

Keys of an act on an account, in this order:
  1 control  hash    the shard's gate: run_id, epoch, lists, cap; entries, digest
  2 account  hash    all about one account, so that an act reads it once and writes it once:
                       version, profile; entries, digest
                       posted:<currency>, held:<currency>, minor units
                       c:<card id>           "<version> <profile>"
                       a:<authorization id>  record
                       r:<reference>         the authorization ids that it names, or *
                       u:<counter>           use
                       v:<message id>        an open case, see reviews.lua; reviews, how many
  3 expiry   zset    "<account> <authorization id>" by the second the hold ends
  4 journal  stream  e envelope, b body; what of it stands in the hot state afterwards: r record, a answer
  5 answer   string  an answer that stands in no record, and the attempts that must not run
  6 reviews  zset    of an act that may open or drop a case: see reviews.lua

Arguments: the store's run id; a MessagePack list of what the act says; then what is only
passed on, as it is: the journal entry's body, a profile, a record.
]]

-- What the store and Lua give us, under names of our own: a global is looked up through two tables each
-- time, which costs more than many a line here. None is there while the library is loaded, so each
-- name learns at its first use what it stands for.
local call, sha1hex, pack, unpacked, format, byte, sub, find, spread
call = function(...) call = redis.call return call(...) end
sha1hex = function(...) sha1hex = redis.sha1hex return sha1hex(...) end
pack = function(...) pack = cmsgpack.pack return pack(...) end
unpacked = function(...) unpacked = cmsgpack.unpack return unpacked(...) end
format = function(...) format = string.format return format(...) end
byte = function(...) byte = string.byte return byte(...) end
sub = function(...) sub = string.sub return sub(...) end
find = function(...) find = string.find return find(...) end
spread = function(...) spread = unpack return spread(...) end

local EXACT_MAX = 9007199254740991
local SEVERAL = '*'

-- A whole number that a double holds exactly, or an error: the caller has a bug, or the
-- store holds what no function of ours has written. (Arithmetic reads digits as a number,
-- and fails on anything else.)
local function whole(value)
  local n = value + 0
  if n % 1 ~= 0 or n > EXACT_MAX or n < -EXACT_MAX then
    error('bad_args: not a whole number that is exact')
  end
  return n
end

-- A number in a text: never 1e+15. (As an argument of a command a whole number stands for itself: the
-- store writes all its digits.)
local function text(n) return format('%d', n) end

local function store_ms()
  local t = call('TIME')
  local micros = t[2] + 0
  return t[1] * 1000 + (micros - micros % 1000) / 1000
end

-- The gate of the shard. Returns it, or nil and why it is shut. `field`: another of the control hash,
-- which is read with it.
local function enter(control, journal, run_id, deadline_ms, field)
  local g = call('HMGET', control, 'run_id', 'lists', 'cap', field or 'epoch')
  local length = call('XLEN', journal)
  if not g[1] or g[1] ~= run_id then return nil, 'cold' end
  local gate = {journal = journal, lists = whole(g[2]), now_ms = store_ms(), read = g[4],
    answer = false}
  if deadline_ms > 0 and gate.now_ms > deadline_ms then return nil, 'late' end
  if length >= whole(g[3]) then return nil, 'full' end
  return gate
end

-- The chain of a hash's journal entries, as it was read: what is missing or altered shows. An
-- account's is in the account, that of all other entries in the shard's control.
local function chain_of(entries, digest)
  return {entries = whole(entries or 0), digest = digest or ''}
end

-- What was planned of quotas, or of what was granted in all.
local function write_numbers(book)
  if #book.set > 0 then call('HSET', book.hash, unpack(book.set)) end
  if #book.drop > 0 then call('HDEL', book.hash, unpack(book.drop)) end
end

-- What an act leaves of an authorization's record: nil where it did not touch it, '' where it is gone.
local function record_of(set, drop, id)
  if id == '' then return nil end
  local field = 'a:' .. id
  if set[1] == field then return set[2] end
  for i = #set - 1, 1, -2 do if set[i] == field then return set[i + 1] end end
  for i = 1, #drop do if drop[i] == field then return '' end end
  return nil
end

-- Carries an act out: its journal entry, then fields of one hash to be set and dropped. The entry
-- goes first, since of all that is left only it might fail, at the end of all stream ids.
-- The envelope is the list that ledger/journal.py names: layout, kind, message id,
-- authorization id, account id, card id, verdict, detail, currency, posted and held deltas,
-- posted and held after, time, counters {counter, before, after}, versions, absorbed, totals, review.
-- `quotas`, where a program's counters moved, are the shard's: quotas.lua. Returns the chain with it.
-- Beside them, for a rebuild: `r`, the authorization's record as it stands from here on, '' where it
-- is gone, and `a`, the answer's string (write_answer). Neither is chained: decision 0024.
local function commit(gate, hash, chain, set, drop, envelope, body, quotas)
  envelope[14] = gate.now_ms
  local packed = pack(envelope)
  local n, digest = #set, sha1hex(chain.digest .. packed .. body)
  local record, answer, journal = record_of(set, drop, envelope[4]), gate.answer, gate.journal
  set[n + 1], set[n + 2] = 'entries', chain.entries + 1
  set[n + 3], set[n + 4] = 'digest', digest
  if record and answer then
    call('XADD', journal, '*', 'e', packed, 'b', body, 'r', record, 'a', answer)
  elseif record then
    call('XADD', journal, '*', 'e', packed, 'b', body, 'r', record)
  elseif answer then
    call('XADD', journal, '*', 'e', packed, 'b', body, 'a', answer)
  else
    call('XADD', journal, '*', 'e', packed, 'b', body)
  end
  call('HSET', hash, spread(set))
  if #drop > 0 then call('HDEL', hash, spread(drop)) end
  if quotas then write_numbers(quotas) end
  return {entries = chain.entries + 1, digest = digest}
end

-- The answer given to a message: {fingerprint, kind, detail, planned, held, holders}.
-- Holders are the attempts that may have delivered it. It stands in the authorization's record
-- where there is one, and lives as long; else in a string of its own, for the answer's life.
-- The string also says {..., authorization id, withdrawn}: withdrawn are attempts that certainly
-- delivered nothing. A kind of '' is a bare mark: nothing stands in the string but them.
local FINGERPRINT, KIND, DETAIL, PLANNED, HELD, HOLDERS, ID, WITHDRAWN = 1, 2, 3, 4, 5, 6, 7, 8

local function read_answer(answer)
  local packed = call('GET', answer)
  return packed and unpacked(packed) or nil
end

-- The string of an answer in no record; attempts withdrawn before stay withdrawn. The journal entry
-- has it too, behind its life in seconds.
local function write_answer(gate, answer, given, id, before, ttl)
  given[ID], given[WITHDRAWN] = id, before and before[WITHDRAWN] or {}
  local packed = pack(given)
  call('SET', answer, packed, 'EX', ttl)
  gate.answer = text(ttl) .. ' ' .. packed
end

local ATTEMPTS_MAX = 16 -- of each kind kept per message; a peer repeats a handful of times
local OTHERS = '*' -- a holder that nobody can strike off: there were more than we keep names of

local function has(list, item)
  for i = 1, #list do if list[i] == item then return i end end
  return nil
end

local function keep(list, item)
  if not has(list, item) then
    if #list >= ATTEMPTS_MAX then table.remove(list, 1) end
    list[#list + 1] = item
  end
end

-- One more attempt may have delivered the answer. Beyond the bound none is forgotten: an
-- answer that somebody may have got must never be taken back. Returns whether it is news.
local function hold(holders, attempt)
  if has(holders, attempt) then return false end
  if #holders < ATTEMPTS_MAX then
    holders[#holders + 1] = attempt
  else
    holders[ATTEMPTS_MAX] = OTHERS
  end
  return true
end

-- Of an approval of less than was asked also says how much, from its record.
local function verdict(message_id, given, id, replayed, r)
  local reply = {message_id, given[KIND], given[PLANNED], given[DETAIL], given[HELD], id, replayed}
  if given[DETAIL] == 'partial' then reply[8], reply[9] = r[3], r[1] end
  return reply
end

local function mismatch(message_id) return {message_id, 'mismatch', '', '', 0, '', 1} end

-- What was answered before by a string: replays it to this attempt, or says why it must not be.
-- Returns nil where nothing was decided yet, else the reply.
local function replay(answer, a, message_id, fingerprint, attempt)
  if not a then return nil end
  if has(a[WITHDRAWN], attempt) then return {message_id, 'withdrawn'} end
  if a[KIND] == '' then return nil end
  if a[FINGERPRINT] ~= fingerprint then return mismatch(message_id) end
  if hold(a[HOLDERS], attempt) then
    call('SET', answer, pack(a), 'KEEPTTL')
  end
  return verdict(message_id, a, a[ID], 1)
end

-- The fence: a plan was made from these versions of account, card and lists, or it is no plan. Lists
-- are written before the gates are told of them, one after the other, so a plan may be ahead of its
-- gate. Returns nil where it stands, else the reply.
local function fence(message_id, gate, account, version, card, account_version, card_version, lists)
  local prefix = card_version .. ' '
  if whole(version) == account_version and lists >= gate.lists
    and sub(card, 1, #prefix) == prefix then return nil end
  local at_card, profile = string.match(card, '^(%d+) (.*)$')
  if not at_card then return {message_id, 'cold'} end
  return {message_id, 'stale', version, call('HGET', account, 'profile'), at_card, profile,
    text(gate.lists)}
end
