#!lua name=authz
--[[
What the functions of the hot state share. The files of this folder are joined into
one library by library.py, this one first.

Rules of the house, for every function:
  - One act, one call, all or nothing. Redis functions do not roll back, so every
    argument is checked and every key is read before the first write; below the
    line "From here on only writes" no command may fail.
  - Integers only, at most 2^53 - 1: Lua numbers are doubles.
  - No function knows what a merchant is. Python decides what applies; here it is
    added, compared and recorded.
  - Replies are flat lists that start with the message id and the name of what
    happened. Names that are no verdict: cold (the gate is closed), late (the
    deadline has passed), full (the journal is at its bound), stale (the plan was
    made from old facts), withdrawn (this attempt was taken back before it ran).

Keys of an act on an account, in this order:
  1 control  hash    the shard's gate: run_id, epoch, lists, count, digest, cap
  2 account  hash    all about one account, so that an act reads it once and writes it once:
                       version, profile
                       posted:<currency>, held:<currency>, minor units
                       c:<card id>           "<version> <profile>"
                       a:<authorization id>  record
                       r:<reference>         authorization id, or * where it names several
                       u:<counter>           use
  3 expiry   zset    "<account> <authorization id>" by the second the hold ends
  4 journal  stream  e envelope, b body

Arguments: the store's run id; a MessagePack list of what the act says; then what is only
passed on, as it is: the journal entry's body, or a profile.
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
local function text(n) return string.format('%.0f', n) end

local function store_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The gate of the shard. Returns it, or nil and why it is shut.
local function enter(control, journal, run_id, deadline_ms)
  local g = redis.call('HMGET', control, 'run_id', 'lists', 'count', 'digest', 'cap')
  local length = redis.call('XLEN', journal)
  if not g[1] or g[1] ~= run_id then return nil, 'cold' end
  local gate = {
    control = control, journal = journal, lists = whole(g[2]), count = whole(g[3]),
    digest = g[4], now_ms = store_ms(),
  }
  if deadline_ms > 0 and gate.now_ms > deadline_ms then return nil, 'late' end
  if length >= whole(g[5]) then return nil, 'full' end
  return gate
end

-- The journal entry of an act: always its last write. `count` and `digest` chain the
-- entries of a shard, so that two copies can be compared without reading either.
-- The envelope is the list that ledger/journal.py names: layout, kind, message id,
-- authorization id, account id, card id, verdict, detail, currency, posted and held deltas,
-- posted and held after, time, counters {counter, before, after}, versions.
local function record(gate, envelope, body)
  envelope[14] = gate.now_ms
  local packed = cmsgpack.pack(envelope)
  redis.call('HSET', gate.control, 'count', text(gate.count + 1),
    'digest', redis.sha1hex(gate.digest .. packed .. body))
  redis.call('XADD', gate.journal, '*', 'e', packed, 'b', body)
end

-- The answer given to a message: {fingerprint, kind, detail, planned, held,
-- authorization id, holders, withdrawn}. Holders are the attempts that may have
-- delivered it; withdrawn are those that certainly did not. A kind of '' is a bare
-- mark: nothing has been decided, but those attempts must not run any more.
local FINGERPRINT, KIND, DETAIL, PLANNED, HELD, ID, HOLDERS, WITHDRAWN = 1, 2, 3, 4, 5, 6, 7, 8

local function blank_answer(withdrawn)
  return {'', '', '', '', 0, '', {}, withdrawn}
end

local function read_answer(answer)
  local packed = redis.call('GET', answer)
  return packed and cmsgpack.unpack(packed) or nil
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
-- answer that somebody may have got must never be taken back.
local function hold(holders, attempt)
  if #holders < ATTEMPTS_MAX then
    holders[#holders + 1] = attempt
  else
    holders[ATTEMPTS_MAX] = OTHERS
  end
end

local function verdict(message_id, a, replayed)
  return {message_id, a[KIND], a[PLANNED], a[DETAIL], a[HELD], a[ID], replayed}
end

-- What was answered before: replays it to this attempt, or says why it must not be.
-- Returns nil where nothing was decided yet, else the reply.
local function replay(answer, a, message_id, fingerprint, attempt)
  if not a then return nil end
  if has(a[WITHDRAWN], attempt) then return {message_id, 'withdrawn'} end
  if a[KIND] == '' then return nil end
  if a[FINGERPRINT] ~= fingerprint then
    return {message_id, 'mismatch', '', '', 0, '', 1}
  end
  if not has(a[HOLDERS], attempt) then
    hold(a[HOLDERS], attempt)
    redis.call('SET', answer, cmsgpack.pack(a), 'KEEPTTL')
  end
  return verdict(message_id, a, 1)
end

-- An authorization's record: {asked, approved, currency, card, expires, original,
-- acts, touched, held}. `original` is the message id of the authorization itself, ''
-- while only reversals have come: the record is their tombstone then. `acts` are the
-- others, {kind, message id, sent at, amount}; `touched` the counters, {counter, scale}.
local function unpack_record(packed)
  local r = cmsgpack.unpack(packed)
  return {
    asked = r[1], approved = r[2], currency = r[3], card = r[4], expires = r[5],
    original = r[6], acts = r[7], touched = r[8], held = r[9],
  }
end

local function pack_record(r)
  return cmsgpack.pack({
    r.asked, r.approved, r.currency, r.card, r.expires, r.original, r.acts, r.touched, r.held,
  })
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

-- What is held after all acts: a function of the set of them, whatever their order.
local function fold(r)
  local held = r.approved
  for i = 1, #r.acts do
    local act = r.acts[i]
    if act[1] == 'full' then return 0 end
    if act[4] < r.asked then held = math.min(held, scale(act[4], r.approved, r.asked)) end
  end
  return held
end

-- What a record adds to a counter while it holds that much.
local function share(held, by_amount)
  if by_amount == 1 then return held end
  return held > 0 and 1 or 0
end

-- The counters a record has touched, as they will be once it holds `to` instead of `from`:
-- {counter, before, after}.
local function moved_counters(account, r, from, to)
  local moves = {}
  for i = 1, #r.touched do
    local counter, by_amount = r.touched[i][1], r.touched[i][2]
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

-- The first of these references that names one record: its place, id and record. `named`
-- holds what each of them names, from `at` on; what names nothing any more is struck off.
local function climb(account, references, named, at)
  local rung, id, r = nil, nil, nil
  for i = 1, #references do
    local found = named[at + i]
    if found and found ~= SEVERAL then
      local packed = redis.call('HGET', account, 'a:' .. found)
      if not packed then
        named[at + i] = false -- what it named was withdrawn
      elseif not rung then
        rung, id, r = i, found, unpack_record(packed)
      end
    end
  end
  return rung, id, r
end

-- References that now name this record; one that names another already names several.
local function plan_references(references, named, at, id, set)
  for i = 1, #references do
    local found = named[at + i]
    if not found then
      set[#set + 1], set[#set + 2] = 'r:' .. references[i], id
    elseif found ~= id and found ~= SEVERAL then
      set[#set + 1], set[#set + 2] = 'r:' .. references[i], SEVERAL
    end
  end
end

local function write_account(account, set, drop)
  if #set > 0 then redis.call('HSET', account, unpack(set)) end
  if #drop > 0 then redis.call('HDEL', account, unpack(drop)) end
end
