--[[
put_directory: make a card findable, unless its key stands for a card already.

Called twice for a new card: `pending` before the card is put, so that of two loads that
give one number to two accounts only the first goes on; `there` when it stands on its account.
A row that is pending may name a card that is not there: whoever died in between is to blame.
What the row says it says for good, since a card does not change its account.

keys   1 directory
args   1 account id   2 card id   3 pending | there
reply  card id as it was asked, put | settled | same | other, account id and card id of the row
]]
local function put_directory(keys, args)
  local row = redis.call('HMGET', keys[1], 'account', 'card', 'pending')
  local account, card = row[1] or args[1], row[2] or args[2]
  local mine = account == args[1] and card == args[2]
  local verdict = 'same'
  if not mine then
    verdict = 'other'
  elseif not row[1] or not row[2] then
    verdict = 'put'
  elseif row[3] and args[3] == 'there' then
    verdict = 'settled'
  end

  -- From here on only writes, and none may fail.
  if verdict == 'put' then
    local fields = {'account', account, 'card', card}
    if args[3] == 'pending' then fields[5], fields[6] = 'pending', '1' end
    redis.call('HSET', keys[1], unpack(fields))
  elseif verdict == 'settled' then
    redis.call('HDEL', keys[1], 'pending')
  end
  return {args[2], verdict, account, card}
end

redis.register_function('authz_put_directory', put_directory)
