--[[
withdraw: take one attempt back, whose reply did not come in time.

The network was told "ask again", so the attempt must leave nothing behind: what it
held is released and its answer forgotten, so that a repeat is decided afresh. If the
attempt has not run yet, a mark stops it. If a repeat was given the answer meanwhile,
the answer stands, and so does the hold.

keys   1-8 as in prelude.lua; 9 answer string
args   1 run id   2 message id   3 attempt   4 account id   5 answer's life, s   6 body
       7.. the references of the authorization
reply  message id, released | forgotten | kept | marked, amount released
       or message id, cold | full
]]
local function withdraw(keys, args)
  local balance, auth, ref, used, expiry = keys[3], keys[4], keys[5], keys[6], keys[7]
  local answer = keys[9]
  local message_id, attempt, answer_ttl, body = args[2], args[3], whole(args[5]), args[6]
  local references = slice(args, 7, #args - 6)
  if #keys ~= 9 or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[8], args[1], 0)
  if not gate then return {message_id, shut} end

  local a = unpack_answer(redis.call('GET', answer))
  local blank = {fingerprint = '', kind = '', detail = '', planned = '', held = 0,
    authorization_id = '', holders = {}, withdrawn = {}}
  if not a then a = blank end
  local mine = has(a.holders, attempt)
  local id = a.authorization_id
  local undo = mine and #a.holders == 1
  local r, found = nil, {}
  if undo and id ~= '' then
    r = unpack_record(redis.call('HGET', auth, id))
    if r.original ~= message_id then r = nil end
  end
  local posted, held, moves, from = 0, 0, {}, 0
  if r then
    from = r.held
    posted, held = read_balance(balance, r.currency)
    moves = moved_counters(used, r, from, 0)
    if #references > 0 then found = redis.call('HMGET', ref, unpack(references)) end
  end
  redis.call('HLEN', balance)
  redis.call('HLEN', used)
  redis.call('HLEN', auth)
  redis.call('HLEN', ref)
  redis.call('ZCARD', expiry)

  -- From here on only writes, and none may fail.
  if not undo then
    if mine then table.remove(a.holders, mine) end
    local decided = a.kind ~= ''
    keep(a.withdrawn, attempt)
    if decided then
      redis.call('SET', answer, pack_answer(a), 'KEEPTTL')
    else
      redis.call('SET', answer, pack_answer(a), 'EX', text(answer_ttl))
    end
    return {message_id, decided and 'kept' or 'marked', 0}
  end
  if r then
    r.asked, r.approved, r.original, r.held, r.touched = 0, 0, '', 0, {}
    if #r.acts == 0 then
      redis.call('HDEL', auth, id)
      for i = 1, #references do
        if found[i] == id then redis.call('HDEL', ref, references[i]) end
      end
    else
      redis.call('HSET', auth, id, pack_record(r)) -- its reversals wait for a repeat
    end
    if from > 0 then
      redis.call('HSET', balance, 'held:' .. r.currency, text(held - from))
      write_counters(used, moves)
      redis.call('ZREM', expiry, args[4] .. ' ' .. id)
    end
  end
  blank.withdrawn = a.withdrawn
  keep(blank.withdrawn, attempt)
  redis.call('SET', answer, pack_answer(blank), 'EX', text(answer_ttl))
  local outcome = from > 0 and 'released' or 'forgotten'
  record(gate, {
    kind = 'withdrawal', message_id = message_id, authorization_id = id, account_id = args[4],
    card_id = r and r.card, verdict = outcome, currency = r and r.currency, held_delta = -from,
    posted = posted, held = held - from, counters = moves,
  }, body)
  return {message_id, outcome, from}
end

redis.register_function('authz_withdraw', withdraw)
