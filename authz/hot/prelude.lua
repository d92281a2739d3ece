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
  3 expiry   zset    "<account> <authorization id>" by the second the hold ends
  4 journal  stream  e envelope, b body
  5 answer   string  an answer that stands in no record, and the attempts that must not run

Arguments: the store's run id; a MessagePack list of what the act says; then what is only
passed on, as it is: the journal entry's body, a profile, a record.
]]

local EXACT_MAX = 9007199254740991
local SEVERAL = '*'
local ALL = -1 -- remaining amount of a reversal in full

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

-- A number as a command takes it: never 1e+15.
local function text(n) return string.format('%d', n) end

local function store_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The gate of the shard. Returns it, or nil and why it is shut.
local function enter(control, journal, run_id, deadline_ms)
  local g = redis.call('HMGET', control, 'run_id', 'lists', 'cap')
  local length = redis.call('XLEN', journal)
  if not g[1] or g[1] ~= run_id then return nil, 'cold' end
  local gate = {journal = journal, lists = whole(g[2]), now_ms = store_ms()}
  if deadline_ms > 0 and gate.now_ms > deadline_ms then return nil, 'late' end
  if length >= whole(g[3]) then return nil, 'full' end
  return gate
end

-- Carries an act out: fields of one hash to be set and dropped, and its journal entry, always
-- the last write. `entries` and `digest` of that hash chain its entries, so that what is missing
-- or altered shows: an account's in the account, all others in the shard's control.
-- The envelope is the list that ledger/journal.py names: layout, kind, message id,
-- authorization id, account id, card id, verdict, detail, currency, posted and held deltas,
-- posted and held after, time, counters {counter, before, after}, versions, absorbed.
local function commit(gate, hash, entries, digest, set, drop, envelope, body)
  envelope[14] = gate.now_ms
  local packed = cmsgpack.pack(envelope)
  local n = #set
  set[n + 1], set[n + 2] = 'entries', text(whole(entries or 0) + 1)
  set[n + 3], set[n + 4] = 'digest', redis.sha1hex((digest or '') .. packed .. body)
  redis.call('HSET', hash, unpack(set))
  if #drop > 0 then redis.call('HDEL', hash, unpack(drop)) end
  redis.call('XADD', gate.journal, '*', 'e', packed, 'b', body)
end

-- The answer given to a message: {fingerprint, kind, detail, planned, held, holders}.
-- Holders are the attempts that may have delivered it. It stands in the authorization's record
-- where there is one, and lives as long; else in a string of its own, for the answer's life.
-- The string also says {..., authorization id, withdrawn}: withdrawn are attempts that certainly
-- delivered nothing. A kind of '' is a bare mark: nothing stands in the string but them.
local FINGERPRINT, KIND, DETAIL, PLANNED, HELD, HOLDERS, ID, WITHDRAWN = 1, 2, 3, 4, 5, 6, 7, 8

local function read_answer(answer)
  local packed = redis.call('GET', answer)
  return packed and cmsgpack.unpack(packed) or nil
end

-- The string of an answer in no record; attempts withdrawn before stay withdrawn.
local function write_answer(answer, given, id, before, ttl)
  given[ID], given[WITHDRAWN] = id, before and before[WITHDRAWN] or {}
  redis.call('SET', answer, cmsgpack.pack(given), 'EX', text(ttl))
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

local function verdict(message_id, given, id, replayed)
  return {message_id, given[KIND], given[PLANNED], given[DETAIL], given[HELD], id, replayed}
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
    redis.call('SET', answer, cmsgpack.pack(a), 'KEEPTTL')
  end
  return verdict(message_id, a, a[ID], 1)
end

-- An authorization's record, a list by these places. `ORIGINAL` is the message id of the
-- authorization itself, '' while only reversals have come: the record is their tombstone then.
-- `REFERENCES` are all that name it; `ACTS` are the others, {kind, message id, sent at, amount,
-- currency}; `TOUCHED` the counters, {counter, scale}; `GIVEN` the answer, {} in a tombstone.
local ASKED, ASKED_IN, APPROVED, CURRENCY, CARD, EXPIRES, ORIGINAL, REFERENCES, ACTS, TOUCHED,
  HOLDS, GIVEN = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12

local function tombstone(card)
  return {0, '', 0, '', card, 0, '', {}, {}, {}, 0, {}}
end

-- a * b / c, half to even, exact: the product may need more than 53 bits, so it is
-- built bit by bit. 0 <= a <= c, 0 <= b, 0 < c.
local function scale(a, b, c)
  if a == c then return b end
  local quotient, rest, bit = 0, 0, 1
  local bits = {}
  while bit <= b do bits[#bits + 1] = bit; bit = bit * 2 end
  for i = #bits, 1, -1 do
    quotient, rest = quotient * 2, rest * 2
    if b % (bits[i] * 2) >= bits[i] then rest = rest + a end
    while rest >= c do rest = rest - c; quotient = quotient + 1 end
  end
  if rest * 2 > c or (rest * 2 == c and quotient % 2 == 1) then quotient = quotient + 1 end
  return quotient
end

-- What is held after all acts: a function of the set of them, whatever their order. What stays is
-- told in the transaction's currency, or in the billing currency; in a third it says nothing.
local function fold(r)
  local held, acts = r[APPROVED], r[ACTS]
  for i = 1, #acts do
    local kind, remaining, currency = acts[i][1], acts[i][4], acts[i][5]
    if kind == 'full' then return 0 end
    if currency == '' or currency == r[ASKED_IN] then
      if remaining < r[ASKED] then
        held = math.min(held, scale(remaining, r[APPROVED], r[ASKED]))
      end
    elseif currency == r[CURRENCY] then
      held = math.min(held, remaining)
    end
  end
  return held
end

-- Acts kept per record. Only a full reversal and the smallest part matter, and a network sends a
-- few; a record that grew with each would make every act on it slower.
local ACTS_MAX = 64

-- One more act, unless it is there. A full one always finds its place. Returns whether it is kept.
local function add_act(acts, act)
  for i = 1, #acts do if acts[i][2] == act[2] then return true end end
  if #acts < ACTS_MAX then
    acts[#acts + 1] = act
  elseif act[1] == 'full' then
    acts[ACTS_MAX] = act
  else
    return false
  end
  return true
end

-- What a record adds to a counter while it holds that much.
local function share(held, by_amount)
  if by_amount == 1 then return held end
  return held > 0 and 1 or 0
end

-- The counters a record has touched, as they will be once it holds `to` instead of `from`:
-- {counter, before, after}.
local function moved_counters(account, r, from, to)
  local moves, touched = {}, r[TOUCHED]
  for i = 1, #touched do
    local counter, by_amount = touched[i][1], touched[i][2]
    local before = whole(redis.call('HGET', account, 'u:' .. counter) or 0)
    moves[i] = {counter, before, before + share(to, by_amount) - share(from, by_amount)}
  end
  return moves
end

-- Adds the counters that moved to the fields to be set, or to those to be dropped.
local function plan_counters(moves, set, drop)
  for i = 1, #moves do
    local field = 'u:' .. moves[i][1]
    if moves[i][3] == 0 then
      drop[#drop + 1] = field
    elseif moves[i][3] ~= moves[i][2] then
      set[#set + 1], set[#set + 2] = field, text(moves[i][3])
    end
  end
end

-- What is held in the billing currency of a record, before and after it holds `to`.
local function plan_held(account, r, to, set)
  local field = 'held:' .. r[CURRENCY]
  local now = redis.call('HMGET', account, 'posted:' .. r[CURRENCY], field)
  local posted, held = whole(now[1] or 0), whole(now[2] or 0)
  if to ~= r[HOLDS] then
    set[#set + 1], set[#set + 2] = field, text(held + to - r[HOLDS])
  end
  return posted, held + to - r[HOLDS]
end

-- A reference is a set of the ids that it names, and *, once there were more than these: then it
-- names none. A merchant who gives all of a card's purchases one RRN must not make it grow.
local NAMED_MAX = 8

local function split(named)
  local ids = {}
  for id in string.gmatch(named, '%S+') do ids[#ids + 1] = id end
  return ids
end

-- The records that a reference names, by id; `known` remembers those already read.
local function records_of(account, named, known)
  local found = {}
  if named == SEVERAL then return found end
  for _, id in ipairs(split(named)) do
    if known[id] == nil then
      local packed = redis.call('HGET', account, 'a:' .. id)
      known[id] = packed and cmsgpack.unpack(packed) or false
    end
    if known[id] then found[#found + 1] = id end
  end
  return found
end

-- The authorization that a reference names, if it names one and no other; whether it names more.
local function authorization_of(account, named, known)
  local one = nil
  for _, id in ipairs(records_of(account, named, known)) do
    if known[id][ORIGINAL] ~= '' then
      if one then return nil, true end
      one = id
    end
  end
  return one, false
end

-- The tombstones that mean the authorization of these references, in the order of their ids. A
-- reference that also names another authorization (than `mine`) does not say whose they are.
local function tombstones_of(account, references, named, known, mine)
  local found = {}
  for _, reference in ipairs(references) do
    if named[reference] then
      local one, more = authorization_of(account, named[reference], known)
      if not more and (not one or one == mine) then
        for _, id in ipairs(records_of(account, named[reference], known)) do
          if id ~= one and not has(found, id) then found[#found + 1] = id end
        end
      end
    end
  end
  table.sort(found)
  return found
end

-- References kept per record; beyond them later ones are not found by.
local REFERENCES_MAX = 32

local function add_references(r, references)
  local mine = r[REFERENCES]
  for _, reference in ipairs(references) do
    if #mine < REFERENCES_MAX and not has(mine, reference) then mine[#mine + 1] = reference end
  end
end

-- Takes tombstones into a record: their acts and references become its own, and they go.
-- Returns the ids that went.
local function absorb(r, id, tombstones, known, drop)
  local gone = {}
  for _, other in ipairs(tombstones) do
    if other ~= id then
      gone[#gone + 1] = other
      drop[#drop + 1] = 'a:' .. other
    end
    if known[other] ~= r then
      add_references(r, known[other][REFERENCES])
      for _, act in ipairs(known[other][ACTS]) do add_act(r[ACTS], act) end
    end
  end
  return gone
end

-- All of a record's references name it from now on, and those that were taken into it no more.
local function plan_references(account, r, id, gone, named, set)
  for _, reference in ipairs(r[REFERENCES]) do
    local before = named[reference]
    if before == nil then before = redis.call('HGET', account, 'r:' .. reference) end
    if not before then
      set[#set + 1], set[#set + 2] = 'r:' .. reference, id
    elseif before ~= SEVERAL and before ~= id then
      local ids = {}
      for _, other in ipairs(split(before)) do
        if other ~= id and not has(gone, other) then ids[#ids + 1] = other end
      end
      ids[#ids + 1] = id
      table.sort(ids)
      set[#set + 1] = 'r:' .. reference
      set[#set + 1] = #ids > NAMED_MAX and SEVERAL or table.concat(ids, ' ')
    end
  end
end

-- A record's references name it no more.
local function drop_references(account, r, id, set, drop)
  for _, reference in ipairs(r[REFERENCES]) do
    local field = 'r:' .. reference
    local before = redis.call('HGET', account, field)
    if before and before ~= SEVERAL then
      local ids = {}
      for _, other in ipairs(split(before)) do if other ~= id then ids[#ids + 1] = other end end
      if #ids == 0 then
        drop[#drop + 1] = field
      else
        set[#set + 1], set[#set + 2] = field, table.concat(ids, ' ')
      end
    end
  end
end
