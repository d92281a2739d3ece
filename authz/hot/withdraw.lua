--[[
withdraw: take one attempt back, whose reply did not come in time.

The network was told "ask again", so the attempt must leave nothing behind: what it
held is released and its answer forgotten, so that a repeat is decided afresh. If the
attempt has not run yet, a mark stops it. If a repeat was given the answer meanwhile,
the answer stands, and so does the hold.

keys   1-4 as in prelude.lua; 5 answer string
args   1 run id   2 list   3 body
list   1 message id   2 attempt   3 account id   4 answer's life, s
       5 the references of the authorization
reply  message id, released | forgotten | kept | marked, amount released
       or message id, cold | full
]]
local function withdraw(keys, args)
  local account, expiry, answer = keys[2], keys[3], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, attempt, answer_ttl, references = a[1], a[2], whole(a[4]), a[5]
  if #keys ~= 5 or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {message_id, shut} end

  local given = read_answer(answer) or blank_answer({})
  local mine = has(given[HOLDERS], attempt)
  local id = given[ID]
  local undo = mine and #given[HOLDERS] == 1
  local r = nil
  if undo and id ~= '' then
    local packed = redis.call('HGET', account, 'a:' .. id)
    r = packed and unpack_record(packed)
    if r and r.original ~= message_id then r = nil end
  end
  local posted, held, moves, from = 0, 0, {}, 0
  local set, drop = {}, {}
  if r then
    from = r.held
    moves = moved_counters(account, r, from, 0)
    posted = whole(redis.call('HGET', account, 'posted:' .. r.currency) or 0)
    held = whole(redis.call('HGET', account, 'held:' .. r.currency) or 0)
    if from > 0 then
      set = {'held:' .. r.currency, text(held - from)}
      plan_counters(moves, set, drop)
    end
    r.asked, r.approved, r.original, r.held, r.touched = 0, 0, '', 0, {}
    if #r.acts > 0 then
      set[#set + 1], set[#set + 2] = 'a:' .. id, pack_record(r) -- its reversals wait for a repeat
    else
      drop[#drop + 1] = 'a:' .. id
      for i = 1, #references do
        local field = 'r:' .. references[i]
        if redis.call('HGET', account, field) == id then drop[#drop + 1] = field end
      end
    end
  end
  redis.call('HLEN', account)
  redis.call('ZCARD', expiry)

  -- From here on only writes, and none may fail.
  if not undo then
    if mine then table.remove(given[HOLDERS], mine) end
    keep(given[WITHDRAWN], attempt)
    if given[KIND] ~= '' then
      redis.call('SET', answer, cmsgpack.pack(given), 'KEEPTTL')
      return {message_id, 'kept', 0}
    end
    redis.call('SET', answer, cmsgpack.pack(given), 'EX', text(answer_ttl))
    return {message_id, 'marked', 0}
  end
  write_account(account, set, drop)
  if from > 0 then redis.call('ZREM', expiry, a[3] .. ' ' .. id) end
  local blank = blank_answer(given[WITHDRAWN])
  keep(blank[WITHDRAWN], attempt)
  redis.call('SET', answer, cmsgpack.pack(blank), 'EX', text(answer_ttl))
  local outcome = from > 0 and 'released' or 'forgotten'
  record(gate, {1, 'withdrawal', message_id, id, a[3], r and r.card or '', outcome, '',
    r and r.currency or '', 0, -from, posted, held - from, 0, moves, {},
  }, args[3])
  return {message_id, outcome, from}
end

redis.register_function('authz_withdraw', withdraw)
