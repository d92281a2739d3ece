--[[
Control acts: what people and files change, not cardholders. Journalled like the rest,
since without them nothing could be rebuilt. And `note`, for what moves nothing.
]]

--[[
put_account: create an account, or move its profile to a new version.

keys   1-8 as in prelude.lua
args   1 run id   2 account id   3 profile   4 currency   5 opening funds   6 body
reply  account id, created | moved | same | currency_fixed, version;  or cold | full
]]
local function put_account(keys, args)
  local account, balance = keys[2], keys[3]
  local id, profile, currency, opening, body = args[2], args[3], args[4], whole(args[5]), args[6]
  local gate, shut = enter(keys[1], keys[8], args[1], 0)
  if not gate then return {id, shut} end
  local old = redis.call('HMGET', account, 'version', 'profile')
  local version = whole(old[1] or '0') + 1
  local posted, held = read_balance(balance, currency)
  if old[1] then
    if old[2] == profile then return {id, 'same', old[1]} end
    -- Balances are per currency; an account that changed its own would leave them behind.
    if redis.call('HEXISTS', balance, 'posted:' .. currency) == 0 then
      return {id, 'currency_fixed', old[1]}
    end
    opening = 0
  end

  -- From here on only writes, and none may fail.
  redis.call('HSET', account, 'version', text(version), 'profile', profile)
  if not old[1] then
    redis.call('HSET', balance, 'posted:' .. currency, text(posted + opening), 'held:' .. currency, text(held))
  end
  record(gate, {
    kind = 'account', message_id = id, account_id = id, verdict = old[1] and 'moved' or 'created',
    currency = currency, posted_delta = opening, posted = posted + opening, held = held,
    versions = {version},
  }, body)
  return {id, old[1] and 'moved' or 'created', text(version)}
end

--[[
put_card: create a card on an account that is there, or move its profile.

keys   1-8 as in prelude.lua; 9 card hash
args   1 run id   2 card id   3 account id   4 profile   5 body
reply  card id, created | moved | same | no_account, version;  or cold | full
]]
local function put_card(keys, args)
  local account, card = keys[2], keys[9]
  local id, profile, body = args[2], args[4], args[5]
  local gate, shut = enter(keys[1], keys[8], args[1], 0)
  if not gate then return {id, shut} end
  if not redis.call('HGET', account, 'version') then return {id, 'no_account', '0'} end
  local old = redis.call('HMGET', card, 'version', 'profile')
  if old[1] and old[2] == profile then return {id, 'same', old[1]} end
  local version = whole(old[1] or '0') + 1

  -- From here on only writes, and none may fail.
  redis.call('HSET', card, 'version', text(version), 'profile', profile)
  record(gate, {
    kind = 'card', message_id = id, account_id = args[3], card_id = id,
    verdict = old[1] and 'moved' or 'created', versions = {version},
  }, body)
  return {id, old[1] and 'moved' or 'created', text(version)}
end

--[[
note: remember and journal an answer that moves nothing, for a card that is not ours.

keys   1 control   2 journal   3 answer
args   1 run id   2 message id   3 fingerprint   4 attempt   5 deadline, ms
       6 verdict   7 planned reason   8 answer's life, s   9 body
reply  as authorize
]]
local function note(keys, args)
  local message_id, answer_ttl = args[2], whole(args[8])
  if #keys ~= 3 or answer_ttl <= 0 then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[2], args[1], whole(args[5]))
  if not gate then return {message_id, shut} end
  local before = unpack_answer(redis.call('GET', keys[3]))
  local again = replay(keys[3], before, message_id, args[3], args[4])
  if again then return again end

  -- From here on only writes, and none may fail.
  local given = {
    fingerprint = args[3], kind = args[6], detail = '', planned = args[7], held = 0,
    authorization_id = '', holders = {args[4]}, withdrawn = before and before.withdrawn or {},
  }
  redis.call('SET', keys[3], pack_answer(given), 'EX', text(answer_ttl))
  record(gate, {kind = 'note', message_id = message_id, verdict = args[6]}, args[9])
  return verdict(message_id, given, 0)
end

--[[
open_gate: let acts in, for this run of the store and no other.

keys   1 control   2 journal
args   1 run id   2 shard count   3 journal bound, entries   4 body
       5 "new" to open a store that never was open, "audited" for one that was
reply  shard's key, open | empty | not_empty | other_layout
]]
local function open_gate(keys, args)
  local control = keys[1]
  local shards, cap = whole(args[2]), whole(args[3])
  local g = redis.call('HMGET', control, 'layout', 'shards', 'epoch', 'lists', 'count', 'digest')
  local length = redis.call('XLEN', keys[2])
  if args[5] == 'new' and g[1] then return {control, 'not_empty'} end
  if args[5] == 'new' and length > 0 then return {control, 'not_empty'} end
  if args[5] ~= 'new' and not g[1] then return {control, 'empty'} end
  if g[1] and (g[1] ~= '1' or whole(g[2]) ~= shards) then return {control, 'other_layout'} end
  local epoch, count = whole(g[3] or '0') + 1, whole(g[5] or '0')

  -- From here on only writes, and none may fail.
  redis.call('HSET', control, 'layout', '1', 'shards', text(shards), 'epoch', text(epoch),
    'run_id', args[1], 'lists', g[4] or '0', 'cap', text(cap))
  record({control = control, journal = keys[2], count = count, digest = g[6] or '',
    now_ms = store_ms()}, {kind = 'gate', message_id = args[1], verdict = args[5]}, args[4])
  return {control, 'open'}
end

--[[
close_gate: stop acts, so that a store can be moved or repaired. keys 1 control
]]
local function close_gate(keys, _)
  redis.call('HGET', keys[1], 'run_id')
  redis.call('HSET', keys[1], 'run_id', '')
  return {keys[1], 'closed'}
end

--[[
put_lists: blocklists of this version are in force from the next act on.

keys   1 control   2 journal
args   1 run id   2 version   3 body
reply  shard's key, moved | older;  or cold | full
]]
local function put_lists(keys, args)
  local version = whole(args[2])
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {keys[1], shut} end
  if version <= gate.lists then return {keys[1], 'older'} end

  -- From here on only writes, and none may fail.
  redis.call('HSET', keys[1], 'lists', text(version))
  record(gate, {kind = 'lists', message_id = text(version), verdict = 'moved',
    versions = {version}}, args[3])
  return {keys[1], 'moved'}
end

--[[
look: one account as it stands, in one step, with the journal position it stands at.

keys   1-8 as in prelude.lua
reply  account, balance, auth, ref, used as flat lists; id of the newest journal entry
]]
local function look(keys, _)
  local newest = redis.call('XREVRANGE', keys[8], '+', '-', 'COUNT', 1)
  local out = {}
  for i = 2, 6 do out[#out + 1] = redis.call('HGETALL', keys[i]) end
  out[#out + 1] = newest[1] and newest[1][1] or '0-0'
  return out
end

redis.register_function('authz_put_account', put_account)
redis.register_function('authz_put_card', put_card)
redis.register_function('authz_note', note)
redis.register_function('authz_open_gate', open_gate)
redis.register_function('authz_close_gate', close_gate)
redis.register_function('authz_put_lists', put_lists)
redis.register_function({function_name = 'authz_look', callback = look, flags = {'no-writes'}})
