--[[
authorize: give one request its verdict, once, and hold the money if it fits.

keys   1-4 as in prelude.lua; 5 answer string
args   1 run id of the store   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms of the store's clock
       5 account id   6 card id   7 account version   8 card version   9 lists version
       10 planned reason ("approved": hold if it fits)   11 amount to hold
       12 amount asked, transaction currency   13 currency   14 credit line
       15 expires at, s   16 answer's life, s   17 references
       18 limits: {reason, counter, use, ceiling, scale} of each
reply  message id, kind, planned, detail, held, authorization id, replayed
       kind: held | declined | over_limit | no_funds | reversed | mismatch
       or message id, 'stale', account version, profile, card version, profile, lists version
       or message id, cold | late | full | withdrawn
]]
local function authorize(keys, args)
  local account, expiry, answer = keys[2], keys[3], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, fingerprint, attempt = a[1], a[2], a[3]
  local account_version, card_version, lists = whole(a[7]), whole(a[8]), whole(a[9])
  local planned, amount, asked, currency = a[10], whole(a[11]), whole(a[12]), a[13]
  local credit_line, expires, answer_ttl = whole(a[14]), whole(a[15]), whole(a[16])
  local references, limits = a[17], a[18]
  for i = 1, #limits do
    for j = 3, 5 do limits[i][j] = whole(limits[i][j]) end
  end
  if #keys ~= 5 or amount < 0 or asked < 0 or credit_line < 0 or answer_ttl <= 0 then
    error('bad_args: out of range')
  end

  local gate, shut = enter(keys[1], keys[4], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, fingerprint, attempt)
  if again then return again end

  -- Everything that this act may touch, in one read: the five, then references, then counters.
  local posted_field, held_field = 'posted:' .. currency, 'held:' .. currency
  local fields = {'version', 'c:' .. a[6], posted_field, held_field, 'a:' .. message_id}
  local at_references, at_counters = 5, 5 + #references
  for i = 1, #references do fields[at_references + i] = 'r:' .. references[i] end
  for i = 1, #limits do fields[at_counters + i] = 'u:' .. limits[i][2] end
  local now = redis.call('HMGET', account, unpack(fields))
  local version, card = now[1], now[2]

  -- The fence: the plan was made from these versions, or it is no plan. Lists are written
  -- before the gates are told of them, one after the other, so a plan may be ahead of its gate.
  if not version or not card then return {message_id, 'cold'} end
  local card_fence = text(card_version) .. ' '
  if whole(version) ~= account_version or lists < gate.lists
    or string.sub(card, 1, #card_fence) ~= card_fence then
    local at_card, profile = string.match(card, '^(%d+) (.*)$')
    if not at_card then return {message_id, 'cold'} end
    return {message_id, 'stale', version, redis.call('HGET', account, 'profile'), at_card,
      profile, text(gate.lists)}
  end

  -- Did a reversal of it come first? Then its record is waiting under a reference.
  local _, id, r = climb(account, references, now, at_references)
  if now[5] or (r and r.original == message_id) then
    -- It was judged before its answer was forgotten. Ids are for ever: no second hold.
    return {message_id, 'mismatch', '', '', 0, '', 1}
  end
  if r and r.original ~= '' then id, r = nil, nil end -- another one shares the reference
  local posted, held = whole(now[3] or 0), whole(now[4] or 0)
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
    local seen = whole(now[at_counters + i] or 0)
    counters[i] = {limit[2], seen, seen}
    if kind == 'held' then
      local use, by_amount = limit[3], limit[5]
      if by_amount == 1 and use > effective then use = effective end
      if seen + use > limit[4] then
        kind, detail = 'over_limit', limit[1]
      else
        counters[i][3] = seen + share(effective, by_amount)
      end
    end
  end
  if kind == 'held' and amount > 0 and effective > posted - held + credit_line then
    kind = 'no_funds'
  end
  if kind ~= 'held' then
    effective = 0
    for i = 1, #counters do counters[i][3] = counters[i][2] end
  end
  if held + effective > EXACT_MAX then error('bad_args: the balance would not be exact') end

  local set, drop = {}, {}
  if kind == 'held' or r then
    -- A decline that meets its reversal is bound to it, so that the tombstone is used up.
    id = id or message_id
    local touched = {}
    if kind == 'held' then
      for i = 1, #limits do touched[i] = {limits[i][2], limits[i][5]} end
    end
    set = {'a:' .. id, pack_record({
      asked = asked, approved = kind == 'held' and amount or 0, currency = currency, card = a[6],
      expires = expires, original = message_id, acts = r and r.acts or {}, touched = touched,
      held = effective,
    })}
    plan_references(references, now, at_references, id, set)
  end
  if effective > 0 then
    set[#set + 1], set[#set + 2] = held_field, text(held + effective)
    plan_counters(counters, set, drop)
  end
  local given = {fingerprint, kind, detail, planned, effective, id or '', {attempt},
    before and before[WITHDRAWN] or {}}

  -- The verdict stands. From here on only writes, and none may fail.
  write_account(account, set, drop)
  if effective > 0 then redis.call('ZADD', expiry, text(expires), a[5] .. ' ' .. id) end
  redis.call('SET', answer, cmsgpack.pack(given), 'EX', text(answer_ttl))
  record(gate, {1, 'authorization', message_id, id or '', a[5], a[6], kind, detail, currency,
    0, effective, posted, held + effective, 0, counters, {account_version, card_version, lists},
  }, args[3])
  return verdict(message_id, given, 0)
end

redis.register_function('authz_authorize', authorize)
