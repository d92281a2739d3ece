--[[
Reviews: a referral (01) opens a case for a person, in the step that answers it. Its facts are the body of
its journal entry.

  {NN}:reviews   zset   "<account> <message id>" of what is open, by the second it was opened
  v:<message id>        in the account's hash: "<card id> <that second> <body>"
  reviews               in the account's hash: how many those are
  reviews:<what>        in the control hash: how many were ever opened, full (there was no room),
                        approved, declined, ended
]]
-- One more of those that are counted: its field, and the value afterwards.
local function one_more(control, what)
  local field = 'reviews:' .. what
  return field, text(whole(call('HGET', control, field) or 0) + 1)
end

local plan_review
do
-- Open cases of one shard, so 64,000 in all: far beyond what people look at in the days that one
-- waits, and with half a kilobyte each some 30 MB. Beyond it a referral is answered all the same.
local REVIEWS_MAX = 1000
-- Of one account: whoever tries a card a thousand times must not keep others from being looked at.
local ACCOUNT_REVIEWS_MAX = 32
-- What an answer does for its case: nil where it opens none. `wanted` is the reason that does, or ''.
function plan_review(control, account, reviews, wanted, given, message_id)
  if wanted == '' then return nil end
  local open = call('ZCARD', reviews)
  local reason = given[KIND] == 'declined' and given[PLANNED]
    or given[KIND] == 'over_limit' and given[DETAIL]
  if reason ~= wanted or call('HEXISTS', account, 'v:' .. message_id) == 1 then return nil end
  local mine = whole(call('HGET', account, 'reviews') or 0)
  local what = open < REVIEWS_MAX and mine < ACCOUNT_REVIEWS_MAX and 'opened' or 'full'
  local field, count = one_more(control, what)
  return {what = what, field = field, count = count, mine = text(mine + 1)}
end
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
  call('HSET', control, plan.field, plan.count)
  if plan.what == 'opened' then
    call('ZADD', reviews, plan.at, account_id .. ' ' .. message_id)
  end
end
