--[[
What networks are to be told of our cards, until they have acknowledged it. Kept beside the account:

  {07}:outbox             hash  "<network>/<card id>": the newest word on that card, a list by the
                                places below. Acknowledged, a block stays without its number, so
                                that it is known to stand; what ends it goes with it.
  {07}:outbox:<network>   zset  card ids by the second in which they are (next) told

The card number is sealed under a key that the store does not have.
]]
local TOKEN, CODE, SEALED, TRIES, SINCE, SAID = 1, 2, 3, 4, 5, 6

-- Of one network in one shard: a store of 64 shards then tells of 640,000 cards at once. Above it
-- a card is still blocked here, and whoever blocks it is told that its network does not hear of it.
local OUTBOX_MAX = 10000

-- What becomes of these words on a card: {network, code, sealed} of each; keys[6] on are the zsets.
-- Said before is not news, and that a card is not blocked is none where nobody said it was.
-- Sealed as '', the word has no number of its own: it takes the waiting word's, or is none.
-- Returns what is to be written, {zset, field, entry} of each, and how many found no room.
local function plan_words(keys, card_id, words, version, now_s)
  local plan, full = {}, 0
  for i = 1, #words do
    local network, code, sealed = words[i][1], words[i][2], words[i][3]
    local field, due = network .. '/' .. card_id, keys[5 + i]
    local packed = redis.call('HGET', keys[5], field)
    local e = packed and cmsgpack.unpack(packed)
    local stands = e and e[CODE] or 'delete'
    if sealed == '' and e then sealed = e[SEALED] end
    local waits = redis.call('ZSCORE', due, card_id)
    if stands ~= code and sealed ~= '' then
      if not waits and redis.call('ZCARD', due) >= OUTBOX_MAX then
        full = full + 1
      else
        local token = text(version) .. '/' .. code
        plan[#plan + 1] = {due, field, cmsgpack.pack({token, code, sealed, 0, now_s, ''})}
      end
    end
  end
  return plan, full
end

local function write_words(outbox, card_id, plan, now_s)
  for i = 1, #plan do
    redis.call('HSET', outbox, plan[i][2], plan[i][3])
    redis.call('ZADD', plan[i][1], text(now_s), card_id)
  end
end

do -- a block of their own: Lua allows a chunk 200 locals
--[[
take_words: what is due to be told now. Each is due again after a while that doubles, so whoever takes
it and dies, or hears nothing, need not give it back; and no two engines tell it at once.

keys   1 control   2 journal   3 outbox   4 zset of the network
args   1 run id   2 list: network, how many, first wait, s, longest wait, s
reply  network, taken, {card id, token, code, sealed, tries, since, said} of each;  or cold | full
]]
local function take_words(keys, args)
  local network, count, first, longest = unpack(cmsgpack.unpack(args[2]))
  count, first, longest = whole(count), whole(first), whole(longest)
  if #keys ~= 4 or count < 1 or first < 1 or longest < first then
    error('bad_args: out of range')
  end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {network, shut} end
  local now_s = math.floor(gate.now_ms / 1000)
  local due = redis.call('ZRANGE', keys[4], '-inf', text(now_s), 'BYSCORE', 'LIMIT', 0, count)
  local taken, set, zadd, lost = {}, {}, {}, {}
  for i = 1, #due do
    local field = network .. '/' .. due[i]
    local packed = redis.call('HGET', keys[3], field)
    if packed then
      local e = cmsgpack.unpack(packed)
      local wait = math.min(first * 2 ^ math.min(e[TRIES], 32), longest)
      e[TRIES] = e[TRIES] + 1
      taken[#taken + 1] = {due[i], e[TOKEN], e[CODE], e[SEALED], e[TRIES], e[SINCE], e[SAID]}
      set[#set + 1], set[#set + 2] = field, cmsgpack.pack(e)
      zadd[#zadd + 1], zadd[#zadd + 2] = text(now_s + wait), due[i]
    else
      lost[#lost + 1] = due[i]
    end
  end

  -- From here on only writes, and none may fail.
  if #set > 0 then redis.call('HSET', keys[3], unpack(set)) end
  if #zadd > 0 then redis.call('ZADD', keys[4], unpack(zadd)) end
  if #lost > 0 then redis.call('ZREM', keys[4], unpack(lost)) end
  return {network, 'taken', taken}
end

--[[
settle_word: what the network answered to it, or that a person drops it. A later word on the same
card is not settled by it. Dropped, a block that was told stands as if acknowledged: it may be in the
file, and what ends it will be told.

keys   1 control   2 journal   3 outbox   4 zset of the network
args   1 run id   2 list: card id, network, token, acknowledged | refused | dropped,
       what it said   3 body
reply  card id, acknowledged | refused | dropped | gone;  or cold | full
]]
local function settle_word(keys, args)
  local card_id, network, token, kind, said = unpack(cmsgpack.unpack(args[2]))
  local ends = kind == 'acknowledged' or kind == 'dropped'
  if #keys ~= 4 or not (ends or kind == 'refused') then
    error('bad_args: out of range')
  end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {card_id, shut} end
  local field = network .. '/' .. card_id
  local packed = redis.call('HGET', keys[3], field)
  local e = packed and cmsgpack.unpack(packed)
  redis.call('ZCARD', keys[4]) -- fails here where it is no zset, and not below the line
  if not e or e[TOKEN] ~= token or e[SEALED] == '' then return {card_id, 'gone'} end
  local is_news = ends or e[SAID] ~= said
  local chain = chain_of(unpack(redis.call('HMGET', keys[1], 'entries', 'digest')))
  local is_over = e[CODE] == 'delete' or (kind == 'dropped' and e[TRIES] == 0)
  e[SAID] = said
  if ends then e[SEALED] = '' end

  -- From here on only writes, and none may fail.
  if is_news then
    commit(gate, keys[1], chain, {}, {}, {1, 'announcement', token, '', '', card_id, kind, said,
      '', 0, 0, 0, 0, 0, {}, {}}, args[3])
  end
  if ends then redis.call('ZREM', keys[4], card_id) end
  if ends and is_over then
    redis.call('HDEL', keys[3], field)
  else
    redis.call('HSET', keys[3], field, cmsgpack.pack(e))
  end
  return {card_id, kind}
end

redis.register_function('authz_take_words', take_words)
redis.register_function({function_name = 'authz_settle_word', callback = settle_word,
  flags = {'allow-oom'}})
end
