--[[
reverse: take an authorization back, in whole or in part, whether it has come or not.

Never declined. Where the authorization is not there yet, a tombstone stands under
every reference that the reversal carries.

keys   as in prelude.lua
args   1 run id   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms   5 account id   6 card id
       7 remaining amount; -1: none   8 its currency, '' for the transaction's   9 sent at, s
       10 answer's life, s   11 references, strongest first   12 the rung that each stands on
reply  message id, kind, planned, detail, released, authorization id, replayed
       kind: reversed | unmatched | unapplied | mismatch; detail: the rung that matched
       unapplied: what remains is told in a third currency, or the record is full of acts
       or message id, cold | late | full | withdrawn
]]
local function reverse(keys, args)
  local account, answer = keys[2], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, attempt, currency, references = a[1], a[3], a[8], a[11]
  local remaining, sent_at, answer_ttl = whole(a[7]), whole(a[9]), whole(a[10])
  if #keys ~= 5 or remaining < ALL or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[4], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, a[2], attempt)
  if again then return again end
  local fields = {'version', 'entries', 'digest', 'a:' .. message_id}
  for i = 1, #references do fields[4 + i] = 'r:' .. references[i] end
  local now = redis.call('HMGET', account, unpack(fields))
  if not now[1] then return {message_id, 'cold'} end
  local named, known = {}, {}
  for i = 1, #references do named[references[i]] = now[4 + i] end
  if now[4] then known[message_id] = cmsgpack.unpack(now[4]) end

  -- The strongest reference that names one authorization and no other.
  local id, rung = nil, ''
  for i = 1, #references do
    if not id and now[4 + i] then
      id = authorization_of(account, now[4 + i], known)
      rung = id and a[12][i] or ''
    end
  end
  local matched = id ~= nil
  local tombstones = tombstones_of(account, references, named, known, id)
  if known[message_id] and not has(tombstones, message_id) then
    tombstones[#tombstones + 1] = message_id -- this very act, after its answer's life
  end
  id = id or tombstones[1] or message_id
  local r, set, drop = known[id] or tombstone(a[6]), {}, {}
  local gone = absorb(r, id, tombstones, known, drop)
  local kept = add_act(r[ACTS], {remaining == ALL and 'full' or 'part', message_id, sent_at,
    remaining == ALL and 0 or remaining, remaining == ALL and '' or currency})
  local foreign = matched and remaining ~= ALL and currency ~= '' and currency ~= r[ASKED_IN]
    and currency ~= r[CURRENCY]

  local from, to = r[HOLDS], matched and fold(r) or 0
  local moves = moved_counters(account, r, from, to)
  local posted, held = 0, 0
  if matched then posted, held = plan_held(account, r, to, set) end
  if to ~= from then plan_counters(moves, set, drop) end
  r[HOLDS] = to
  add_references(r, references)
  plan_references(account, r, id, gone, named, set)
  set[#set + 1], set[#set + 2] = 'a:' .. id, cmsgpack.pack(r)
  local kind = matched and 'reversed' or 'unmatched'
  if foreign or not kept then kind = 'unapplied' end
  local given = {a[2], kind, rung, '', from - to, {attempt}}

  -- From here on only writes, and none but the first may fail.
  if to == 0 and from > 0 then redis.call('ZREM', keys[3], a[5] .. ' ' .. id) end
  write_answer(answer, given, id, before, answer_ttl)
  commit(gate, account, now[2], now[3], set, drop, {1, 'reversal', message_id, id, a[5], a[6],
    kind, rung, matched and r[CURRENCY] or '', 0, to - from, posted, held, 0, moves, {},
    #gone > 0 and gone or nil}, args[3])
  return verdict(message_id, given, id, 0)
end

redis.register_function('authz_reverse', reverse)
