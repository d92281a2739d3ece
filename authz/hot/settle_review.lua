--[[
settle_review: a case is over, by a person's word or by its age. An approval moves the card to a profile
with one exception more, in the same step.

keys   1 control   2 account   3 reviews   4 journal
args   1 run id   2 list   3 body;  of an approval   4 the card's profile   5 body of the card's entry
list   1 message id   2 account id   3 approved | declined | ended   4 of an approval: the card
       5 the version that its profile was made from   6 of one that ended: s that it must have waited
reply  message id, approved | declined | ended | gone | open (it has not waited so long) | stale (the
       card has moved);  or cold | full
]]
local function settle_review(keys, args)
  local control, account, reviews = keys[1], keys[2], keys[3]
  local id, account_id, verdict, card_id, made_from, waited =
    unpack(unpacked(args[2]))
  made_from, waited = whole(made_from), whole(waited)
  local approves = verdict == 'approved'
  if #keys ~= 4 or (not approves and verdict ~= 'declined' and verdict ~= 'ended')
    or #args ~= (approves and 5 or 3) then
    error('bad_args: out of range')
  end
  local gate, shut = enter(control, keys[4], args[1], 0)
  if not gate then return {id, shut} end
  local now = call('HMGET', account, 'v:' .. id, 'entries', 'digest', 'c:' .. card_id,
    'reviews')
  local member = account_id .. ' ' .. id
  call('ZCARD', reviews) -- a wrong type fails here
  if not now[1] then
    call('ZREM', reviews, member)
    return {id, 'gone'}
  end
  local of, since = string.match(now[1], '^(%S+) (%d+) ')
  if verdict == 'ended' and since and (whole(since) + waited) * 1000 > gate.now_ms then
    return {id, 'open'}
  end
  local version = string.match(now[4] or '', '^(%d+) ')
  if approves and (not version or whole(version) ~= made_from) then return {id, 'stale'} end
  local chain, left = chain_of(now[2], now[3]), text(whole(now[5] or 1) - 1)
  local field, count = one_more(control, verdict)

  -- From here on only writes, and none may fail.
  if approves then
    local moved = text(made_from + 1)
    chain = commit(gate, account, chain, {'c:' .. card_id, moved .. ' ' .. args[4]}, {}, {1, 'card',
      card_id, '', account_id, card_id, 'moved', '', '', 0, 0, 0, 0, 0, {}, {made_from + 1}}, args[5])
  end
  commit(gate, account, chain, {'reviews', left}, {'v:' .. id}, {1, 'review', id, '', account_id,
    of or '', verdict, '', '', 0, 0, 0, 0, 0, {}, {}}, args[3])
  call('ZREM', reviews, member)
  call('HSET', control, field, count)
  return {id, verdict}
end

redis.register_function({function_name = 'authz_settle_review', callback = settle_review,
  flags = {'allow-oom'}})
