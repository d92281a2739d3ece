--[[
authorize: give one request its verdict, once, and hold the money if it fits.

keys   1-8 as in prelude.lua; 9 card hash: version, profile; 10 answer string
args   1 run id of the store   2 message id   3 fingerprint   4 attempt
       5 deadline, ms of the store's clock   6 account id   7 card id
       8 account version   9 card version   10 lists version
       11 planned reason ("approved": hold if it fits)   12 amount to hold
       13 amount asked, transaction currency   14 currency   15 credit line
       16 sent at, s   17 expires at, s   18 answer's life, s   19 body
       20 number of references, then they
       then number of limits, then counter, use, ceiling, scale, reason of each
reply  message id, kind, planned, detail, held, authorization id, replayed
       kind: held | declined | over_limit | no_funds | reversed | mismatch
       or message id, 'stale', account version, profile, card version, profile, lists version
       or message id, cold | late | full | withdrawn
]]
local function authorize(keys, args)
  local account, balance, auth, ref = keys[2], keys[3], keys[4], keys[5]
  local used, expiry, card, answer = keys[6], keys[7], keys[9], keys[10]
  local message_id, attempt, currency, body = args[2], args[4], args[14], args[19]
  local planned, amount, asked = args[11], whole(args[12]), whole(args[13])
  local credit_line, sent_at, expires = whole(args[15]), whole(args[16]), whole(args[17])
  local answer_ttl, lists = whole(args[18]), whole(args[10])
  local references = slice(args, 21, whole(args[20]))
  local limits, at = {}, 21 + #references
  for i = 1, whole(args[at]) do
    local p = at + 1 + (i - 1) * 5
    limits[i] = {
      counter = args[p], use = whole(args[p + 1]), ceiling = whole(args[p + 2]),
      scale = whole(args[p + 3]), reason = args[p + 4],
    }
  end
  if #keys ~= 10 or amount < 0 or asked < 0 or credit_line < 0 or answer_ttl <= 0 then
    error('bad_args: out of range')
  end

  local gate, shut = enter(keys[1], keys[8], args[1], whole(args[5]))
  if not gate then return {message_id, shut} end

  local before = unpack_answer(redis.call('GET', answer))
  local again = replay(answer, before, message_id, args[3], attempt)
  if again then return again end

  -- The fence: the plan was made from these versions, or it is no plan. Lists are written
  -- before the gates are told of them, one after the other, so a plan may be ahead of its gate.
  local a = redis.call('HMGET', account, 'version', 'profile')
  local c = redis.call('HMGET', card, 'version', 'profile')
  if not a[1] or not c[1] then return {message_id, 'cold'} end
  if a[1] ~= args[8] or c[1] ~= args[9] or lists < gate.lists then
    return {message_id, 'stale', a[1], a[2], c[1], c[2], text(gate.lists)}
  end

  -- Did a reversal of it come first? Then its record is waiting under a reference.
  local _, id, r, found = climb(ref, auth, references)
  local same = redis.call('HGET', auth, message_id)
  if same or (r and r.original == message_id) then
    -- It was judged before its answer was forgotten. Ids are for ever: no second hold.
    return {message_id, 'mismatch', '', '', 0, '', 1}
  end
  if r and r.original ~= '' then id, r = nil, nil end -- another one shares the reference
  local posted, held = read_balance(balance, currency)
  redis.call('ZCARD', expiry)

  -- What the hold will be: with a partial reversal waiting, less than was asked.
  local effective, kind, detail = amount, 'held', ''
  if planned ~= 'approved' then
    kind = 'declined'
  elseif r then
    r.asked, r.approved = asked, amount
    effective = fold(r)
    if effective == 0 and amount > 0 then kind = 'reversed' end
  end

  local counters = {}
  for i = 1, #limits do
    local limit = limits[i]
    local seen = whole(redis.call('HGET', used, limit.counter) or '0')
    counters[i] = {limit.counter, seen, seen}
    if kind == 'held' then
      local use = math.min(limit.use, limit.scale == 1 and effective or limit.use)
      if seen + use > limit.ceiling then
        kind, detail = 'over_limit', limit.reason
      else
        counters[i][3] = seen + share(effective, limit.scale)
      end
    end
  end
  if #limits == 0 then redis.call('HLEN', used) end
  if kind == 'held' and effective > posted - held + credit_line and amount > 0 then
    kind = 'no_funds'
  end
  if kind ~= 'held' then
    effective = 0
    for i = 1, #counters do counters[i][3] = counters[i][2] end
  end
  if held + effective > EXACT_MAX then error('bad_args: the balance would not be exact') end

  -- The verdict stands. From here on only writes, and none may fail.
  if kind == 'held' or r then
    -- A decline that meets its reversal is bound to it, so that the tombstone is used up.
    r = r or {acts = {}}
    id = id or message_id
    r.asked, r.approved = asked, kind == 'held' and amount or 0
    r.currency, r.card, r.expires, r.original = currency, args[7], expires, message_id
    r.touched, r.held = {}, effective
    if kind == 'held' then
      for i = 1, #limits do r.touched[i] = {limits[i].counter, limits[i].scale} end
    end
    redis.call('HSET', auth, id, pack_record(r))
    write_references(ref, references, found, id)
  end
  if effective > 0 then
    redis.call('HSET', balance, 'held:' .. currency, text(held + effective))
    write_counters(used, counters)
    redis.call('ZADD', expiry, text(expires), args[6] .. ' ' .. id)
  end
  local given = {
    fingerprint = args[3], kind = kind, detail = detail, planned = planned, held = effective,
    authorization_id = id or '', holders = {attempt}, withdrawn = before and before.withdrawn or {},
  }
  redis.call('SET', answer, pack_answer(given), 'EX', text(answer_ttl))
  record(gate, {
    kind = 'authorization', message_id = message_id, authorization_id = id,
    account_id = args[6], card_id = args[7], verdict = kind, detail = detail, currency = currency,
    held_delta = effective, posted = posted, held = held + effective, counters = counters,
    versions = {whole(args[8]), whole(args[9]), lists},
  }, body)
  return verdict(message_id, given, 0)
end

redis.register_function('authz_authorize', authorize)
