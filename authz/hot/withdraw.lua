--[[
withdraw: take one attempt back, whose reply did not come in time.

The network was told "ask again", so the attempt must leave nothing behind: what it
held is released and its answer forgotten, so that a repeat is decided afresh. If the
attempt has not run yet, a mark stops it. If a repeat was given the answer meanwhile,
the answer stands, and so does the hold.

keys   as in prelude.lua
args   1 run id   2 list   3 body
list   1 message id   2 attempt   3 account id, '' for a card that is not ours   4 answer's life, s
reply  message id, released | forgotten | kept | marked, amount released
       or message id, cold | full
]]
local function withdraw(keys, args)
  local account, answer = keys[2], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, attempt, answer_ttl = a[1], a[2], whole(a[4])
  if #keys ~= 5 or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {message_id, shut} end

  -- The answer stands in its record, or in its string, or was never given.
  local said = read_answer(answer)
  local now = redis.call('HMGET', account, 'a:' .. message_id, 'entries', 'digest')
  local r = now[1] and cmsgpack.unpack(now[1])
  if r and r[ORIGINAL] ~= message_id then r = nil end
  local given = r and r[GIVEN] or said
  local withdrawn = said and said[WITHDRAWN] or {}
  local mine = given and has(given[HOLDERS], attempt)
  local undo = mine and #given[HOLDERS] == 1
  keep(withdrawn, attempt)

  if not undo then
    if mine then table.remove(given[HOLDERS], mine) end
    local stands = given and given[KIND] ~= ''
    local mark = not r and said or {'', '', '', '', 0, {}, '', withdrawn}

    -- From here on only writes, and none may fail.
    if r and mine then redis.call('HSET', account, 'a:' .. message_id, cmsgpack.pack(r)) end
    if stands and not r then
      redis.call('SET', answer, cmsgpack.pack(mark), 'KEEPTTL')
    else
      redis.call('SET', answer, cmsgpack.pack(mark), 'EX', text(answer_ttl))
    end
    return {message_id, stands and 'kept' or 'marked', 0}
  end

  local set, drop, moves, from, posted, held = {}, {}, {}, 0, 0, 0
  if r then
    from = r[HOLDS]
    moves = moved_counters(account, r, from, 0)
    posted, held = plan_held(account, r, 0, set)
    if from > 0 then plan_counters(moves, set, drop) end
    if #r[ACTS] > 0 then
      -- Its reversals wait for a repeat, and are found as it was.
      local left = tombstone(r[CARD])
      left[REFERENCES], left[ACTS] = r[REFERENCES], r[ACTS]
      set[#set + 1], set[#set + 2] = 'a:' .. message_id, cmsgpack.pack(left)
    else
      drop[#drop + 1] = 'a:' .. message_id
      drop_references(account, r, message_id, set, drop)
    end
  end
  local outcome = from > 0 and 'released' or 'forgotten'
  local hash, entries, digest = account, now[2], now[3]
  if not entries then
    -- No account of ours: what it leaves is chained with the shard's other entries.
    hash = keys[1]
    entries, digest = unpack(redis.call('HMGET', hash, 'entries', 'digest'))
  end

  -- From here on only writes, and none but the first may fail.
  if from > 0 then redis.call('ZREM', keys[3], a[3] .. ' ' .. message_id) end
  redis.call('SET', answer, cmsgpack.pack({'', '', '', '', 0, {}, '', withdrawn}), 'EX',
    text(answer_ttl))
  commit(gate, hash, entries, digest, set, drop, {1, 'withdrawal', message_id,
    r and message_id or '', a[3], r and r[CARD] or '', outcome, '', r and r[CURRENCY] or '', 0,
    -from, posted, held, 0, moves, {}}, args[3])
  return {message_id, outcome, from}
end

redis.register_function('authz_withdraw', withdraw)
