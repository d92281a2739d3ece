--[[
reverse: take an authorization back, in whole or in part, whether it has come or not.

Never declined. Where the authorization is not there yet, a tombstone stands under
every reference that the reversal carries.

keys   1-8 as in prelude.lua; 9 answer string
args   1 run id   2 message id   3 fingerprint   4 attempt   5 deadline, ms
       6 account id   7 card id   8 remaining amount, transaction currency; -1: none
       9 sent at, s   10 answer's life, s   11 body   12.. references, strongest first
reply  message id, kind, planned, detail, released, authorization id, replayed
       kind: reversed | unmatched | mismatch; detail: the rung that matched
       or message id, cold | late | full | withdrawn
]]
local function reverse(keys, args)
  local account, balance, auth, ref = keys[2], keys[3], keys[4], keys[5]
  local used, expiry, answer = keys[6], keys[7], keys[9]
  local message_id, attempt, body = args[2], args[4], args[11]
  local remaining, sent_at, answer_ttl = whole(args[8]), whole(args[9]), whole(args[10])
  local references = slice(args, 12, #args - 11)
  if #keys ~= 9 or remaining < ALL or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[8], args[1], whole(args[5]))
  if not gate then return {message_id, shut} end

  local before = unpack_answer(redis.call('GET', answer))
  local again = replay(answer, before, message_id, args[3], attempt)
  if again then return again end
  if not redis.call('HGET', account, 'version') then return {message_id, 'cold'} end

  local rung, id, r, found = climb(ref, auth, references)
  if not id then
    id = message_id
    local packed = redis.call('HGET', auth, id)
    r = packed and unpack_record(packed) or {asked = 0, approved = 0, currency = '', card = args[7], expires = 0, original = '',
      acts = {}, touched = {}, held = 0} -- a tombstone
  end
  local matched = r.original ~= ''
  local known = false -- the same act once more, after its answer's life
  for i = 1, #r.acts do known = known or r.acts[i][2] == message_id end
  if not known then
    r.acts[#r.acts + 1] = {remaining == ALL and 'full' or 'part', message_id, sent_at,
      remaining == ALL and 0 or remaining}
  end
  local from, to = r.held, matched and fold(r) or 0
  local moves = moved_counters(used, r, from, to)
  local posted, held = 0, 0
  if matched then posted, held = read_balance(balance, r.currency) end
  redis.call('HLEN', balance)
  redis.call('HLEN', used)
  redis.call('ZCARD', expiry)

  -- From here on only writes, and none may fail.
  r.held = to
  redis.call('HSET', auth, id, pack_record(r))
  if to ~= from then
    redis.call('HSET', balance, 'held:' .. r.currency, text(held + to - from))
    write_counters(used, moves)
    if to == 0 then redis.call('ZREM', expiry, args[6] .. ' ' .. id) end
  end
  if not matched then write_references(ref, references, found, id) end
  local given = {
    fingerprint = args[3], kind = matched and 'reversed' or 'unmatched',
    detail = rung and string.match(references[rung], '^%w+') or '', planned = '',
    held = from - to, authorization_id = id, holders = {attempt},
    withdrawn = before and before.withdrawn or {},
  }
  redis.call('SET', answer, pack_answer(given), 'EX', text(answer_ttl))
  record(gate, {
    kind = 'reversal', message_id = message_id, authorization_id = id, account_id = args[6],
    card_id = args[7], verdict = given.kind, detail = given.detail,
    currency = matched and r.currency or '',
    held_delta = to - from, posted = posted, held = held + to - from, counters = moves,
  }, body)
  return verdict(message_id, given, 0)
end

redis.register_function('authz_reverse', reverse)
