--[[
Control acts: what people and files change, not cardholders. Journalled like the rest,
since without them nothing could be rebuilt. And `note`, for what moves nothing.
]]

--[[
put_account: create an account, or move its profile to a new version.

keys   1-4 as in prelude.lua
args   1 run id   2 list: account id, currency, opening funds   3 profile   4 body
reply  account id, created | moved | same | currency_fixed, version;  or cold | full
]]
local function put_account(keys, args)
  local account, profile = keys[2], args[3]
  local id, currency, opening = unpack(cmsgpack.unpack(args[2]))
  opening = whole(opening)
  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {id, shut} end
  local posted_field, held_field = 'posted:' .. currency, 'held:' .. currency
  local old = redis.call('HMGET', account, 'version', 'profile', posted_field, held_field,
    'entries', 'digest')
  local there = old[1]
  local version = whole(there or 0) + 1
  local posted, held = whole(old[3] or 0), whole(old[4] or 0)
  if there then
    if old[2] == profile then return {id, 'same', there} end
    -- Balances are per currency; an account that changed its own would leave them behind.
    if not old[3] then return {id, 'currency_fixed', there} end
    opening = 0
  end
  local verdict = there and 'moved' or 'created'

  -- From here on only writes, and none may fail.
  commit(gate, account, chain_of(old[5], old[6]), {'version', text(version), 'profile', profile,
    posted_field, text(posted + opening), held_field, text(held)}, {}, {1, 'account', id, '', id,
    '', verdict, '', currency, opening, 0, posted + opening, held, 0, {}, {version}}, args[4])
  return {id, verdict, text(version)}
end

--[[
put_card: create a card on an account that is there, or move its profile.

keys   1-4 as in prelude.lua; where networks are told of it, 5 outbox, 6.. its zset of each network
args   1 run id   2 list: card id, account id, words as in outbox.lua, the version that the profile
       was made from (0: the card was not there; -1: it is all new)   3 profile   4 body
reply  card id, created | moved | same | no_account | other (made from another version: nothing was
       done), version, words queued, and without room
       or cold | full
]]
local function put_card(keys, args)
  local account, profile = keys[2], args[3]
  local id, account_id, words, made_from = unpack(cmsgpack.unpack(args[2]))
  if #keys ~= (#words > 0 and 5 + #words or 4) then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {id, shut} end
  local old = redis.call('HMGET', account, 'version', 'c:' .. id, 'entries', 'digest')
  if not old[1] then return {id, 'no_account', '0', 0, 0} end
  local version, there = string.match(old[2] or '', '^(%d+) (.*)$')
  local verdict = there == profile and 'same' or there and 'moved' or 'created'
  version = whole(version or 0)
  if whole(made_from) >= 0 and version ~= made_from then return {id, 'other', text(version), 0, 0} end
  version = version + (verdict == 'same' and 0 or 1)
  local now_s = math.floor(gate.now_ms / 1000)
  local plan, full = plan_words(keys, id, words, version, now_s)
  if verdict == 'same' then
    write_words(keys[5], id, plan, now_s)
    return {id, verdict, text(version), #plan, full}
  end

  -- From here on only writes, and none may fail.
  commit(gate, account, chain_of(old[3], old[4]), {'c:' .. id, text(version) .. ' ' .. profile}, {},
    {1, 'card', id, '', account_id, id, verdict, '', '', 0, 0, 0, 0, 0, {}, {version}}, args[4])
  write_words(keys[5], id, plan, now_s)
  return {id, verdict, text(version), #plan, full}
end

--[[
note: remember and journal an answer that moves nothing, for a card that is not ours.

keys   1 control   2 journal   3 answer
args   1 run id   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms   5 verdict
       6 planned reason   7 answer's life, s   8 what a repeat is told besides
reply  as authorize
]]
local function note(keys, args)
  local a = cmsgpack.unpack(args[2])
  local message_id, answer_ttl = a[1], whole(a[7])
  if #keys ~= 3 or answer_ttl <= 0 then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[2], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end
  local before = read_answer(keys[3])
  local again = replay(keys[3], before, message_id, a[2], a[3])
  if again then return again end
  local given = {a[2], a[5], a[8], a[6], 0, {a[3]}}
  local chain = chain_of(unpack(redis.call('HMGET', keys[1], 'entries', 'digest')))

  -- From here on only writes, and none may fail.
  write_answer(gate, keys[3], given, '', before, answer_ttl)
  commit(gate, keys[1], chain, {}, {}, {1, 'note', message_id, '', '', '', a[5], '',
    '', 0, 0, 0, 0, 0, {}, {}}, args[3])
  return verdict(message_id, given, '', 0)
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
  local g = redis.call('HMGET', control, 'layout', 'shards', 'epoch', 'lists', 'entries', 'digest')
  local length = redis.call('XLEN', keys[2])
  if args[5] == 'new' and g[1] then return {control, 'not_empty'} end
  if args[5] == 'new' and length > 0 then return {control, 'not_empty'} end
  if args[5] ~= 'new' and not g[1] then return {control, 'empty'} end
  if g[1] and (g[1] ~= '4' or whole(g[2]) ~= shards) then return {control, 'other_layout'} end
  local epoch = whole(g[3] or '0') + 1

  -- From here on only writes, and none may fail.
  commit({journal = keys[2], now_ms = store_ms()}, control, chain_of(g[5], g[6]), {
    'layout', '4', 'shards', text(shards), 'epoch', text(epoch), 'run_id', args[1], 'lists', g[4] or '0', 'cap',
    text(cap)}, {}, {1, 'gate', args[1], '', '', '', args[5], '', '', 0, 0, 0, 0, 0, {}, {}},
    args[4])
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
put_lists: a judgement of this version is in force from the next act on; its home has it already.

keys   1 control   2 journal
args   1 run id   2 version   3 body
reply  shard's key, moved | older;  or cold | full
]]
local function put_lists(keys, args)
  local version = whole(args[2])
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {keys[1], shut} end
  if version <= gate.lists then return {keys[1], 'older'} end
  local chain = chain_of(unpack(redis.call('HMGET', keys[1], 'entries', 'digest')))

  -- From here on only writes, and none may fail.
  commit(gate, keys[1], chain, {'lists', text(version)}, {}, {1, 'lists',
    text(version), '', '', '', 'moved', '', '', 0, 0, 0, 0, 0, {}, {version}}, args[3])
  return {keys[1], 'moved'}
end

--[[
look: one account as it stands, in one step, with the journal position it stands at.

keys   1-4 as in prelude.lua
reply  flat lists of: account (version, profile, entries, digest); balance; records; references;
       counters; cards ("<version> <profile>"); then the id of the newest journal entry; open cases;
       the fields that end, by day
]]
local PARTS = {['a:'] = 3, ['r:'] = 4, ['u:'] = 5, ['c:'] = 6, ['v:'] = 8, ['w:'] = 9}

local function look(keys, _)
  local newest = redis.call('XREVRANGE', keys[4], '+', '-', 'COUNT', 1)
  local flat = redis.call('HGETALL', keys[2])
  local out = {{}, {}, {}, {}, {}, {}, newest[1] and newest[1][1] or '0-0', {}, {}}
  for i = 1, #flat, 2 do
    local name, part = flat[i], PARTS[string.sub(flat[i], 1, 2)]
    if part then
      name = string.sub(name, 3)
    else
      part = (string.sub(name, 1, 7) == 'posted:' or string.sub(name, 1, 5) == 'held:') and 2 or 1
    end
    local list = out[part]
    list[#list + 1], list[#list + 2] = name, flat[i + 1]
  end
  return out
end

redis.register_function('authz_put_account', put_account)
redis.register_function('authz_put_card', put_card)
redis.register_function('authz_note', note)
redis.register_function('authz_open_gate', open_gate)
redis.register_function('authz_close_gate', close_gate)
redis.register_function('authz_put_lists', put_lists)
redis.register_function({function_name = 'authz_look', callback = look, flags = {'no-writes'}})
