--[[
apply: take in what belongs to an authorization. A reversal, an advice, a completion or a force post
was decided elsewhere and is never declined; an increment is decided here. Whether its authorization
has come, comes later, or never does.

It joins the authorization that its references find. Where there is none it stands alone, under
every reference that it carries, and holds or posts what it says; an authorization that comes
later takes it in.

keys   as in prelude.lua
args   1 run id   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms   5 account id   6 card id
       7 act, as in a record   8 answer's life, s   9 references, strongest first
       10 the rung that each stands on   11 billing currency   12 -1: a credit   13 expires at, s
       14 counters: {counter, scale, end, size} of each
       15 of an increment: {planned reason, credit line, account version, card version, lists
          version, limits}; else an empty list
       16 how many of the references are exact, at the front
       17 of a completion: {percent, minor units} by which it may exceed the hold, of the two the
          larger; s after its authorization when it is overdue; else an empty list
       18 what totals count it under, as a record has it
       19 of an increment, as 26 of authorize   20 as 27 of authorize
reply  message id, kind, planned, detail, what is held less, authorization id, replayed
       kind: applied (reversed, of a reversal) | beyond | overdue | unmatched | unapplied | mismatch;
       of an increment, as authorize
       detail: the rung that matched, or the ceiling that refused
       beyond: more is posted than was held and tolerated; overdue: it came long after
       unapplied: what remains is told in a third currency; the record is full of acts; all has
       posted, which a reversal of the authorization does not take back; it names what has not come
       or message id, short, …, as authorize;  or message id, cold | late | full | withdrawn
]]

-- Those that name no other authorization: a reversal that carries another one's DE 38 by mistake
-- must not give it to this one.
local function free_of_others(references, named, known, id)
  local free = {}
  for _, reference in ipairs(references) do
    local mine = true
    if named[reference] and named[reference] ~= SEVERAL then
      for _, other in ipairs(split(named[reference])) do
        if other ~= id and known[other] and known[other][ORIGINAL] ~= '' then mine = false end
      end
    end
    if mine then free[#free + 1] = reference end
  end
  return free
end

-- Whether an increment may have what it asks for. Returns kind and detail, as authorize does; short
-- and that reply where a program's quota is too small.
local function judge(book, r, base, spent, decision, act, seen, last_word)
  local planned, credit_line, limits = decision[1], whole(decision[2]), decision[6]
  if planned ~= 'approved' then return 'declined', '' end
  local news = spent - base.hold - base.posted
  -- What it adds has been taken back before, or what it belongs to.
  if has_ended(r) or (act[BILLED] > 0 and news <= 0) then return 'reversed', '' end
  local full = first_full(book, limits, seen, spent, base.shares)
  if full then return 'over_limit', full end
  local now = redis.call('HMGET', book.hash, 'posted:' .. r[CURRENCY], 'held:' .. r[CURRENCY])
  if news > whole(now[1] or 0) - whole(now[2] or 0) + credit_line then
    return 'no_funds', ''
  end
  local short
  full, short = first_full(book, limits, seen, spent, base.shares, true)
  if full and not last_word then return 'short', say_short(act[ACT_ID], short) end
  if full then return 'over_limit', full end
  return 'held', ''
end

-- Whether a completion keeps to what was agreed on. It is posted all the same, and shown.
local function kept_to(terms, r, act, posted, total)
  local more = math.max(scale(terms[1], total, 100), terms[2])
  if posted > total + more then return 'beyond' end
  if act[SENT_AT] - r[SENT] > terms[3] then return 'overdue' end
  return 'applied'
end

-- The counters that an increment is judged by: the book, what each limit saw, windows and quotas.
local function judged_by(account, decision, act, control)
  local book = open_book(account, decision and act[SENT_AT] or 0, control)
  if not decision then return book, {}, {}, {} end
  for i = 1, #decision[6] do prepare(decision[6][i]) end
  clock_of(book)
  return book, looked_at(book, decision[6])
end

-- What moves with an increment that is refused: the counters, and the fields to be set and dropped.
local function refused(book, limits, given)
  local counters, set, drop = {}, {}, {}
  local tried = count_decline(book, limits, given[KIND], given[DETAIL], counters)
  if #tried > 0 then
    given[TOLD_TALLY], given[TOLD_CURRENCY], given[TOLD_TRIED] = '', '', tried
  end
  plan_counters(book, set, drop)
  return counters, set, drop
end

local function apply(keys, args)
  local account, answer = keys[2], keys[5]
  local a = cmsgpack.unpack(args[2])
  local message_id, attempt, act, references = a[1], a[3], a[7], a[9]
  local answer_ttl, currency, sign, expires, touched = whole(a[8]), a[11], whole(a[12]),
    whole(a[13]), a[14]
  local decision, terms = #a[15] > 0 and a[15] or nil, #a[17] > 0 and a[17] or nil
  local made_from = decision and {whole(decision[3]), whole(decision[4]), whole(decision[5])} or {}
  local exact = exact_of(references, whole(a[16]), act[NAMES])
  for _, place in ipairs({SENT_AT, AMOUNT, BILLED}) do act[place] = whole(act[place]) end
  if #keys ~= (a[19] ~= '' and 6 or 5) or act[AMOUNT] < 0 or act[BILLED] < 0 or answer_ttl <= 0 or expires < 0
    or (sign ~= 1 and sign ~= -1) then
    error('bad_args: out of range')
  end

  local gate, shut = enter(keys[1], keys[4], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, a[2], attempt)
  if again then return again end
  local fields = {'version', 'entries', 'digest', 'a:' .. message_id, 'c:' .. a[6]}
  for i = 1, #references do fields[5 + i] = 'r:' .. references[i] end
  local now = redis.call('HMGET', account, unpack(fields))
  if not now[1] then return {message_id, 'cold'} end
  if decision then
    if not now[5] then return {message_id, 'cold'} end
    local shut_out = fence(message_id, gate, account, now[1], now[5], whole(decision[3]),
      whole(decision[4]), whole(decision[5]))
    if shut_out then return shut_out end
  end
  local chain, named, known = chain_of(now[2], now[3]), {}, {}
  for i = 1, #references do named[references[i]] = now[5 + i] end
  if now[4] then known[message_id] = cmsgpack.unpack(now[4]) end

  -- The strongest reference that finds its authorization.
  local id, rung, named_exactly = nil, '', false
  for i = 1, #references do
    if not id and now[5 + i] then
      id = authorization_of(account, now[5 + i], known, act[SENT_AT], exact[references[i]])
      named_exactly = exact[references[i]]
      rung = id and a[10][i] or ''
    end
  end
  local matched, joins = id ~= nil, false
  if matched and not named_exactly then
    -- It was found by another word than its DE 90, which then names nothing.
    if act[KIND_OF] == 'full' or act[KIND_OF] == 'part' then act[NAMES] = '' end
  end
  local tombstones = tombstones_of(account, references, named, known,
    id and known[id][SENT] or -1, exact)
  if known[message_id] and not has(tombstones, message_id) then
    tombstones[#tombstones + 1] = message_id -- this very act, after its answer's life
  end
  if not id and tombstones[1] and known[tombstones[1]][CURRENCY] ~= '' then
    -- What was decided elsewhere has no authorization of ours, and its follow-ups find it.
    joins = true
    for i = #references, 1, -1 do
      local at = now[5 + i]
      if at and at ~= SEVERAL and has(split(at), tombstones[1]) then rung = a[10][i] end
    end
  end
  id = id or tombstones[1] or message_id
  local r, base, set, drop = known[id] or tombstone(a[6]), nothing(), {}, {}
  add_to(base, r)
  local ended_at = r[EXPIRES]
  local reversal = act[KIND_OF] == 'full' or act[KIND_OF] == 'part'
  local foreign = reversal and matched and act[KIND_OF] == 'part' and act[AMOUNT_IN] ~= ''
    and act[AMOUNT_IN] ~= r[ASKED_IN] and act[AMOUNT_IN] ~= r[CURRENCY]
  if not reversal and r[CURRENCY] ~= '' and (r[CURRENCY] ~= currency or r[SIGN] ~= sign) then
    -- Money of another currency or direction is another matter, whatever it is called.
    if known[message_id] then return mismatch(message_id) end
    id, matched, joins, tombstones, rung = message_id, false, false, {}, ''
    r, base, ended_at = tombstone(a[6]), nothing(), 0
  end
  if SHIPS[act[KIND_OF]] and #r[ACTS] >= OTHER_ACTS_MAX then
    -- No room for one more completion there: it posts all the same, and stands alone.
    id, matched, joins, tombstones, rung = message_id, false, false, {}, ''
    references = {act[NAMES]}
    r, base, ended_at = known[id] or tombstone(a[6]), nothing(), 0
    add_to(base, r)
  end
  local gone = absorb(r, id, tombstones, known, base, drop)
  local there = has_act(r[ACTS], message_id)
  local kept = add_act(r[ACTS], act)
  if not reversal then
    if r[CURRENCY] == '' then r[CURRENCY], r[SIGN] = currency, sign end
    for i = 1, #touched do add_beside(r, touched[i]) end
    if expires > r[EXPIRES] then r[EXPIRES] = expires end
  end

  local hold, posted, total = fold(r)
  local book, seen, windows, quotas = judged_by(account, decision, act, keys[1])
  if decision then
    local kind, detail = judge(book, r, base, hold + posted, decision, act, seen, a[20] == 1)
    if kind == 'short' then return detail end
    if kind == 'held' and not kept then kind = 'declined' end
    if kind ~= 'held' then
      local given = {a[2], kind, detail, decision[1], 0, {attempt}}
      local funds = redis.call('HMGET', account, 'posted:' .. currency, 'held:' .. currency)
      local counters
      counters, set, drop = refused(book, decision[6], given)
      local review = plan_review(keys[1], account, keys[6], a[19], given, message_id)
      set_review(review, set, message_id, a[6], gate.now_ms, args[3])

      -- From here on only writes, and none may fail.
      write_answer(gate, answer, given, '', before, answer_ttl)
      commit(gate, account, chain, set, drop, reviewed(counted({1, args[4], message_id, '', a[5],
        a[6], kind, detail, currency, 0, 0, whole(funds[1] or 0), whole(funds[2] or 0), 0, counters,
        made_from}, {}, windows, quotas), review), args[3], book.quotas)
      write_review(review, keys[1], keys[6], a[5], message_id)
      return with_review(verdict(message_id, given, '', 0), review)
    end
  end
  local moved = plan_moves(book, r, base, hold, posted, set, drop)
  add_references(r, matched and free_of_others(references, named, known, id) or references)
  plan_references(account, r, id, gone, named, set)
  set[#set + 1], set[#set + 2] = 'a:' .. id, cmsgpack.pack(r)
  local kind = not (matched or joins) and 'unmatched' or reversal and 'reversed' or 'applied'
  if matched and kind == 'applied' and terms then kind = kept_to(terms, r, act, posted, total) end
  -- Of what has posted a reversal of the authorization takes nothing back: a person must know.
  -- So must he where it names what has not come.
  local idle = kind == 'reversed' and hold == base.hold and posted == base.posted
    and ((act[KIND_OF] == 'full' and posted > 0) or (act[NAMES] ~= ''
    and not means_all(r, act, {}) and not targets_of(r[ACTS])[act[NAMES]]))
  if foreign or not kept or idle then kind = 'unapplied' end
  local given = {a[2], kind, rung, '', base.hold - hold, {attempt}}
  if decision then
    kind = 'held'
    given = {a[2], kind, '', decision[1], hold - base.hold, {attempt}}
    given[TOLD_TALLY], given[TOLD_CURRENCY] = a[18], r[CURRENCY]
  end
  local totals = plan_totals(keys[1], a[18], r[CURRENCY], r[SIGN], moved[1], 1, kept and not there)

  -- From here on only writes, and none but the first may fail.
  local ended = ended_of(gone, known)
  if hold ~= base.hold or #ended > 0 or r[EXPIRES] ~= ended_at then
    write_end(keys[3], a[5], id, r, ended)
  end
  write_answer(gate, answer, given, id, before, answer_ttl)
  commit(gate, account, chain, set, drop, counted({1, args[4], message_id, id, a[5], a[6], kind,
    rung, r[CURRENCY], moved[1], moved[2], moved[3], moved[4], 0, moved[5], made_from,
    #gone > 0 and gone or nil}, totals, windows, quotas), args[3], book.quotas)
  write_totals(keys[1], totals)
  return verdict(message_id, given, id, 0)
end

redis.register_function({function_name = 'authz_apply', callback = apply, flags = {'allow-oom'}})

--[[
close: end a hold, by the date that it carries or by a named person's word.

keys   as in prelude.lua; the fifth is not touched
args   1 run id   2 list   3 body
list   1 the act's id   2 account id   3 authorization id   4 expired | released   5 at, s
reply  act's id, closed | open | gone, amount released
       open: it has not expired yet, by the store's clock; gone: it holds nothing
       or act's id, cold | full
]]
local function close(keys, args)
  local account = keys[2]
  local act_id, account_id, id, kind, at = unpack(cmsgpack.unpack(args[2]))
  at = whole(at)
  if kind ~= 'expired' and kind ~= 'released' then error('bad_args: kind') end
  local gate, shut = enter(keys[1], keys[4], args[1], 0)
  if not gate then return {act_id, shut} end
  local now = redis.call('HMGET', account, 'entries', 'digest', 'a:' .. id)
  local r = now[3] and cmsgpack.unpack(now[3])
  local member = account_id .. ' ' .. id
  if not r or r[HOLDS] == 0 then
    redis.call('ZREM', keys[3], member)
    return {act_id, 'gone', 0}
  end
  if kind == 'expired' and r[EXPIRES] * 1000 > gate.now_ms then return {act_id, 'open', 0} end
  local chain, base, set, drop = chain_of(now[1], now[2]), nothing(), {}, {}
  add_to(base, r)
  add_act(r[ACTS], {kind, act_id, at, 0, '', 0, ''})
  local hold, posted = fold(r)
  local book = open_book(account, 0, keys[1])
  local moved = plan_moves(book, r, base, hold, posted, set, drop)
  set[#set + 1], set[#set + 2] = 'a:' .. id, cmsgpack.pack(r)

  -- From here on only writes, and none but the first may fail.
  write_end(keys[3], account_id, id, r, {})
  commit(gate, account, chain, set, drop, {1, 'close', act_id, id, account_id, r[CARD],
    kind, '', r[CURRENCY], moved[1], moved[2], moved[3], moved[4], 0, moved[5], {}}, args[3],
    book.quotas)
  return {act_id, 'closed', base.hold - hold}
end

redis.register_function({function_name = 'authz_close', callback = close, flags = {'allow-oom'}})
