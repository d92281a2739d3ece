--[[
withdraw: take one attempt back, whose reply did not come in time.

The network was told "ask again", so the attempt must leave nothing behind: what it
held is released and its answer forgotten, so that a repeat is decided afresh. If the
attempt has not run yet, a mark stops it. If a repeat was given the answer meanwhile,
the answer stands, and so does the hold.

keys   as in prelude.lua, with the sixth: a case that its answer opened goes with it
args   1 run id   2 list   3 body
list   1 message id   2 attempt   3 account id, '' for a card that is not ours   4 answer's life, s
reply  message id, released | forgotten | kept | marked, amount released
       or message id, cold | full
]]
local function withdraw(keys, args)
  local account, answer = keys[2], keys[5]
  local a = unpacked(args[2])
  local message_id, attempt, answer_ttl = a[1], a[2], whole(a[4])
  if #keys ~= 6 or answer_ttl <= 0 then error('bad_args: out of range') end

  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {message_id, shut} end

  -- The answer stands in its record, or in its string, or was never given.
  local said = read_answer(answer)
  local now = call('HMGET', account, 'a:' .. message_id, 'entries', 'digest',
    'v:' .. message_id, 'reviews')
  local case = a[3] .. ' ' .. message_id
  call('ZCARD', keys[6]) -- a wrong type fails here
  local r, hash, chain = now[1] and unpacked(now[1]), account, chain_of(now[2], now[3])
  if not now[2] then
    -- No account of ours: what it leaves is chained with the shard's other entries.
    hash = keys[1]
    chain = chain_of(unpack(call('HMGET', hash, 'entries', 'digest')))
  end
  if r and r[ORIGINAL] ~= message_id then r = nil end
  local given, id, increment = r and r[GIVEN] or said, message_id, nil
  if not r and said and said[KIND] == 'held' then
    -- An increment: one act on a record.
    id = said[ID]
    local packed = call('HGET', account, 'a:' .. id)
    increment = packed and unpacked(packed)
  end
  local withdrawn = said and said[WITHDRAWN] or {}
  local mine = given and has(given[HOLDERS], attempt)
  local undo = mine and #given[HOLDERS] == 1
  keep(withdrawn, attempt)

  if not undo then
    if mine then table.remove(given[HOLDERS], mine) end
    local stands = given and given[KIND] ~= ''
    local mark = not r and said or {'', '', '', '', 0, {}, '', withdrawn}

    -- From here on only writes, and none may fail.
    if r and mine then call('HSET', account, 'a:' .. message_id, pack(r)) end
    if stands and not r then
      call('SET', answer, pack(mark), 'KEEPTTL')
    else
      call('SET', answer, pack(mark), 'EX', text(answer_ttl))
    end
    return {message_id, stands and 'kept' or 'marked', 0}
  end

  local set, drop, base, moved = {}, {}, nothing(), {0, 0, 0, 0, {}}
  local book = open_book(account, 0, keys[1])
  -- A decline is taken back as well: the repeat is decided afresh, and counts itself.
  local tried, fallen = r and r[TRIED] or not r and said and said[TOLD_TRIED] or {}, {}
  for i = 1, #tried do move(book, fallen, tried[i][1], -1, tried[i][3], tried[i][4]) end
  if r then r[TRIED] = nil end
  local tally, currency = r and r[TALLY] or said and said[TOLD_TALLY],
    r and r[CURRENCY] or said and said[TOLD_CURRENCY]
  local counts = given[KIND] == 'held' or given[KIND] == 'told'
  if r then
    add_to(base, r)
    r[TALLY] = ''
    r[ASKED], r[ASKED_IN], r[APPROVED], r[ORIGINAL], r[POSTS] = 0, '', 0, '', 0
    r[GIVEN], r[TOUCHED] = {}, {}
    local hold, posted = fold(r)
    moved = plan_moves(book, r, base, hold, posted, set, drop)
    -- What else was said of it stands and waits for the repeat, which finds it by its own id. By
    -- references that it had from the authorization it would be found by others; the names of its
    -- acts are nobody else's, and what takes such an act back must find it.
    local targets, names, others = targets_of(r[ACTS]), {}, {}
    for _, reference in ipairs(r[REFERENCES]) do
      local list = targets[reference] and names or others
      list[#list + 1] = reference
    end
    r[REFERENCES] = others
    drop_references(account, r, message_id, set, drop)
    if #r[ACTS] > 0 then
      r[REFERENCES], r[SENT] = names, 0
      set[#set + 1], set[#set + 2] = 'a:' .. message_id, pack(r)
    else
      drop[#drop + 1] = 'a:' .. message_id
    end
  end
  if increment then
    r = increment
    add_to(base, r)
    -- It stays as an act of nothing: a reversal that names it must find it, or it would take the
    -- authorization back.
    local stays = r[ORIGINAL] ~= ''
    for _, act in ipairs(r[ACTS]) do
      if act[ACT_ID] == message_id then
        act[KIND_OF], act[AMOUNT], act[BILLED] = 'void', 0, 0
      elseif act[KIND_OF] ~= 'void' then
        stays = true
      end
    end
    local hold, posted = fold(r)
    moved = plan_moves(book, r, base, hold, posted, set, drop)
    if stays then
      set[#set + 1], set[#set + 2] = 'a:' .. id, pack(r)
    else
      drop[#drop + 1] = 'a:' .. id
      drop_references(account, r, id, set, drop)
    end
  end
  if not r then plan_counters(book, set, drop) end
  for i = 1, #fallen do moved[5][#moved[5] + 1] = fallen[i] end
  local totals = plan_totals(keys[1], tally, currency, r and r[SIGN] or 1, moved[1], -1, counts)
  local outcome = (moved[1] ~= 0 or moved[2] ~= 0) and 'released' or 'forgotten'
  if now[4] then
    drop[#drop + 1] = 'v:' .. message_id
    set[#set + 1], set[#set + 2] = 'reviews', text(whole(now[5] or 1) - 1)
  end

  -- From here on only writes, and none but the first may fail.
  if r and base.hold ~= r[HOLDS] then write_end(keys[3], a[3], id, r, {}) end
  write_answer(gate, answer, {'', '', '', '', 0, {}}, '', {[WITHDRAWN] = withdrawn}, answer_ttl)
  commit(gate, hash, chain, set, drop, counted({1, 'withdrawal', message_id,
    r and id or '', a[3], r and r[CARD] or '', outcome, '', r and r[CURRENCY] or '',
    moved[1], moved[2], moved[3], moved[4], 0, moved[5], {}}, totals), args[3], book.quotas)
  write_totals(keys[1], totals)
  if now[4] then call('ZREM', keys[6], case) end
  return {message_id, outcome, -moved[2]}
end

redis.register_function({function_name = 'authz_withdraw', callback = withdraw,
  flags = {'allow-oom'}})
