--[[
What engines judge by besides cards and accounts: policy, rates and lists, under one version. It
lies in one shard, its home. The gates are told of the version afterwards (put_lists).

Keys, all of the home shard:
  3 judgement  hash  version; policy, shadow, rates: their texts; n:<list>/<kind>: how many entries
                     there are; first: the oldest change that is kept; bytes: of all that are
  4 lists      hash  "<list>/<kind>/<value>": reasons, authors and times, opaque here
  5 changes    hash  version: the journal entry's body, of the latest versions: what an engine that
                     is behind reads. One that is further behind reads everything anew.
]]
local CHANGES_MAX = 1000 -- some 20 s of the longest load at its pace: an engine looks twice a second
local CHANGES_BYTES = 8388608 -- and no more than this; the newest is always there
local STEP = 1000 -- words of one command: Lua's stack has room for 8,000

local function in_steps(command, key, words, from, to)
  for i = from, to, STEP do
    redis.call(command, key, unpack(words, i, math.min(i + STEP - 1, to)))
  end
end

--[[
change_judgement: the next version is there to be read. Acts are held to it once their gate is told.

keys   1 control   2 journal   3-5 as above
args   1 run id   2 the version that the change was made from   3 its own   4 body
       5 words of fields and values to be set in the judgement   6 likewise in the lists
       7.. those words; then fields of the lists to be dropped
reply  home's control, moved | older;  or cold | full
]]
local function change_judgement(keys, args)
  local judgement, lists, changes = keys[3], keys[4], keys[5]
  local from, version = whole(args[2]), whole(args[3])
  local set, put = whole(args[5]), whole(args[6])
  if #keys ~= 5 or version <= from or set % 2 ~= 0 or put % 2 ~= 0 or #args < 6 + set + put then
    error('bad_args: out of range')
  end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {keys[1], shut} end
  local old = redis.call('HMGET', judgement, 'version', 'first', 'bytes')
  redis.call('HLEN', lists)
  redis.call('HLEN', changes)
  if whole(old[1] or 0) ~= from or version <= gate.lists then return {keys[1], 'older'} end
  local first, bytes, gone = whole(old[2] or version), whole(old[3] or 0) + #args[4], {}
  while first < version and (version - first >= CHANGES_MAX or bytes > CHANGES_BYTES) do
    bytes = bytes - redis.call('HSTRLEN', changes, text(first))
    gone[#gone + 1], first = text(first), first + 1
  end
  local chain = chain_of(unpack(redis.call('HMGET', keys[1], 'entries', 'digest')))

  -- From here on only writes, and none may fail.
  commit(gate, keys[1], chain, {}, {}, {1, 'judgement',
    text(version), '', '', '', 'moved', '', '', 0, 0, 0, 0, 0, {}, {version}}, args[4])
  redis.call('HSET', judgement, 'version', text(version), 'first', text(first), 'bytes',
    text(bytes))
  in_steps('HSET', judgement, args, 7, 6 + set)
  in_steps('HSET', lists, args, 7 + set, 6 + set + put)
  in_steps('HDEL', lists, args, 7 + set + put, #args)
  in_steps('HDEL', changes, gone, 1, #gone)
  redis.call('HSET', changes, text(version), args[4])
  return {keys[1], 'moved'}
end

redis.register_function('authz_change_judgement', change_judgement)
