--[[
reverse: take an authorization back, in whole or in part, whether it has come or not.

Never declined. Where the authorization is not there yet, a tombstone stands under
every reference that the reversal carries.

keys   1-4 as in prelude.lua; 5 answer string
args   1 run id   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms   5 account id   6 card id
       7 remaining amount, transaction currency; -1: none   8 sent at, s
       9 answer's life, s   10 references, strongest first   11 the rung that each stands on
reply  message id, kind, planned, detail, released, authorization id, replayed
       kind: reversed | unmatched | mismatch; detail: the rung that matched
       or message id, cold | late | full | withdrawn
]]
local function reverse(keys, args)
  local account, expiry, answer = keys[2], keys[3], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, attempt, references = a[1], a[3], a[10]
  local remaining, sent_at, answer_ttl = whole(a[7]), whole(a[8]), whole(a[9])
  if #keys ~= 5 or remaining < ALL or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[4], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, a[2], attempt)
  if again then return again end
  local fields = {'version', 'a:' .. message_id}
  local at_references = 2
  for i = 1, #references do fields[at_references + i] = 'r:' .. references[i] end
  local now = redis.call('HMGET', account, unpack(fields))
  if not now[1] then return {message_id, 'cold'} end

  local rung, id, r = climb(account, references, now, at_references)
  if not id then
    id = message_id
    r = now[2] and unpack_record(now[2]) or {asked = 0, approved = 0, currency = '',
      card = a[6], expires = 0, original = '', acts = {}, touched = {}, held = 0}
  end
  local matched = r.original ~= ''
  local known = false -- the same act once more, after its answer's life
  for i = 1, #r.acts do known = known or r.acts[i][2] == message_id end
  if not known then
    r.acts[#r.acts + 1] = {remaining == ALL and 'full' or 'part', message_id, sent_at,
      remaining == ALL and 0 or remaining}
  end
  local from, to = r.held, matched and fold(r) or 0
  local moves = moved_counters(account, r, from, to)
  local posted, held = 0, 0
  if matched then
    posted = whole(redis.call('HGET', account, 'posted:' .. r.currency) or 0)
    held = whole(redis.call('HGET', account, 'held:' .. r.currency) or 0)
  end
  redis.call('ZCARD', expiry)

  r.held = to
  local set, drop = {'a:' .. id, pack_record(r)}, {}
  if to ~= from then
    set[3], set[4] = 'held:' .. r.currency, text(held + to - from)
    plan_counters(moves, set, drop)
  end
  if not matched then plan_references(references, now, at_references, id, set) end
  local given = {a[2], matched and 'reversed' or 'unmatched', rung and a[11][rung] or '', '',
    from - to, id, {attempt}, before and before[WITHDRAWN] or {}}

  -- From here on only writes, and none may fail.
  write_account(account, set, drop)
  if to == 0 and from > 0 then redis.call('ZREM', expiry, a[5] .. ' ' .. id) end
  redis.call('SET', answer, cmsgpack.pack(given), 'EX', text(answer_ttl))
  record(gate, {1, 'reversal', message_id, id, a[5], a[6], given[KIND], given[DETAIL],
    matched and r.currency or '', 0, to - from, posted, held + to - from, 0, moves, {},
  }, args[3])
  return verdict(message_id, given, 0)
end

redis.register_function('authz_reverse', reverse)
