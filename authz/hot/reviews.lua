--[[
Reviews: a referral (01) opens a case for a person, in the step that answers it. Its facts are the body of
its journal entry.

  {NN}:reviews   zset   "<account> <message id>" of what is open, by the second it was opened
  v:<message id>        in the account's hash: "<card id> <that second> <body>"
  reviews               in the account's hash: how many those are
  reviews:<what>        in the control hash: how many were ever opened, full (there was no room),
                        approved, declined, ended
]]
-- Open cases of one shard, so 64,000 in all: far beyond what people look at in the days that one
-- waits, and with half a kilobyte each some 30 MB. Beyond it a referral is answered all the same.
local REVIEWS_MAX = 1000
-- Of one account: whoever tries a card a thousand times must not keep others from being looked at.
local ACCOUNT_REVIEWS_MAX = 32

-- One more of those that are counted: its field, and the value afterwards.
local function one_more(control, what)
  local field = 'reviews:' .. what
  return field, text(whole(redis.call('HGET', control, field) or 0) + 1)
end

-- What an answer does for its case: nil where it opens none. `wanted` is the reason that does, or ''.
local function plan_review(control, account, reviews, wanted, given, message_id)
  if wanted == '' then return nil end
  local open = redis.call('ZCARD', reviews)
  local reason = given[KIND] == 'declined' and given[PLANNED]
    or given[KIND] == 'over_limit' and given[DETAIL]
  if reason ~= wanted or redis.call('HEXISTS', account, 'v:' .. message_id) == 1 then return nil end
  local mine = whole(redis.call('HGET', account, 'reviews') or 0)
  local what = open < REVIEWS_MAX and mine < ACCOUNT_REVIEWS_MAX and 'opened' or 'full'
  local field, count = one_more(control, what)
  return {what = what, field = field, count = count, mine = text(mine + 1)}
end

-- Its part of what is set in the account's hash.
local function set_review(plan, set, message_id, card_id, now_ms, body)
  if plan and plan.what == 'opened' then
    plan.at = text(math.floor(now_ms / 1000))
    set[#set + 1], set[#set + 2] = 'v:' .. message_id, card_id .. ' ' .. plan.at .. ' ' .. body
    set[#set + 1], set[#set + 2] = 'reviews', plan.mine
  end
end

-- An envelope that tells of it; a reply that does.
local function reviewed(envelope, plan)
  if plan then
    envelope[17], envelope[18] = envelope[17] or {}, envelope[18] or {}
    envelope[19] = plan.what
  end
  return envelope
end

local function with_review(reply, plan)
  if plan then reply[8] = plan.what end
  return reply
end

local function write_review(plan, control, reviews, account_id, message_id)
  if not plan then return end
  redis.call('HSET', control, plan.field, plan.count)
  if plan.what == 'opened' then
    redis.call('ZADD', reviews, plan.at, account_id .. ' ' .. message_id)
  end
end

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
    unpack(cmsgpack.unpack(args[2]))
  made_from, waited = whole(made_from), whole(waited)
  local approves = verdict == 'approved'
  if #keys ~= 4 or (not approves and verdict ~= 'declined' and verdict ~= 'ended')
    or #args ~= (approves and 5 or 3) then
    error('bad_args: out of range')
  end
  local gate, shut = enter(control, keys[4], args[1], 0)
  if not gate then return {id, shut} end
  local now = redis.call('HMGET', account, 'v:' .. id, 'entries', 'digest', 'c:' .. card_id,
    'reviews')
  local member = account_id .. ' ' .. id
  redis.call('ZCARD', reviews) -- a wrong type fails here
  if not now[1] then
    redis.call('ZREM', reviews, member)
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
  redis.call('ZREM', reviews, member)
  redis.call('HSET', control, field, count)
  return {id, verdict}
end

redis.register_function({function_name = 'authz_settle_review', callback = settle_review,
  flags = {'allow-oom'}})
