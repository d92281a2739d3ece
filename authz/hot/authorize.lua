--[[
authorize: give one request its verdict, once, and hold the money if it fits, or post it at once.

keys   as in prelude.lua
args   1 run id of the store   2 list   3 body
       4 the record, stored as it is where it holds all that is asked
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms of the store's clock
       5 account id   6 card id   7 account version   8 card version   9 lists version
       10 planned reason ("approved": hold if it fits)   11 amount to hold
       12 currency   13 credit line   14 expires at, s   15 answer's life, s   16 references
       17 limits: {reason, counter, use, ceiling, scale, end, since, size} of each; scale 2: it
          counts what is declined
       18 1: it posts at once (0200); 2: a credit that is available at its approval
       19 -1: it is a credit, which needs no funds   20 sent at, s
       21 what was asked, in the billing currency: not above 11, which has what is held beyond it
       22 a reference: less than was asked will do, and is found by this one too; '' where not
       23 1: it asks what there is   24 how many of the references are exact, at the front
       25 what totals count it under, as a record has it
       26 the reason that opens a case for a person; '' where none may, and there is no sixth key
       27 1: the last word, though a program's quota here is too small
reply  message id, kind, planned, detail, held, authorization id, replayed; of a part also what was
       approved, in the billing currency and in the transaction's; where a case was to be opened,
       opened or full
       kind: held | told | declined | over_limit | no_funds | reversed | mismatch
       detail: the ceiling that refused; of held, partial; of told, what is posted and available
       or message id, 'stale', account version, profile, card version, profile, lists version
       or message id, 'short', of each program's limit whose quota here is too small: its place,
       how much is missing, how much would do; nothing was written
       or message id, cold | late | full | withdrawn
]]
-- How much of what is wanted fits under the ceilings and the funds there are, and what refuses
-- what was asked, if anything does: kind and detail. A program's ceilings are asked last, so that
-- what is refused anyway takes nothing of a quota; what those lack, if anything, is the last value.
local function fitting(wanted, asked, limits, seen, funds, in_part)
  local fit, kind, detail = wanted, 'held', ''
  if wanted < asked then kind, detail = 'over_limit', 'transaction_limit' end
  local shared = false
  for i = 1, #limits do
    local limit = limits[i]
    shared = shared or limit.shared
    local room = limit[4] - seen[i]
    if limit.shared then room = wanted end
    if limit[5] ~= BY_AMOUNT then room = (room >= 1 or limit.known) and wanted or 0 end
    if room < asked and kind == 'held' then kind, detail = 'over_limit', limit[1] end
    fit = math.min(fit, room)
  end
  if funds and funds < asked and kind == 'held' then kind = 'no_funds' end
  if funds then fit = math.min(fit, funds) end
  if not shared or fit <= 0 or (kind ~= 'held' and not in_part) then return fit, kind, detail end
  local short, need = {}, fit
  for i = 1, #limits do
    local limit = limits[i]
    if limit.shared then
      local room = limit[4] - seen[i]
      if limit[5] ~= BY_AMOUNT then
        if room < 1 then short[#short + 1] = {i - 1, 1 - room, 1 - room} end
        room = room >= 1 and need or 0
      elseif room < need then
        short[#short + 1] = {i - 1, need - room, math.max(1, (in_part and 1 or asked) - room)}
      end
      if room < asked and kind == 'held' then kind, detail = 'over_limit', limit[1] end
      fit = math.min(fit, room)
    end
  end
  return fit, kind, detail, #short > 0 and short or nil
end

-- The first ceiling that so much more does not fit under: its reason, or nil. Of a program's also
-- what their quotas lack.
local function first_full(book, limits, seen, spent, shares, shared)
  local reason, short = nil, {}
  for i = 1, #limits do
    local limit = limits[i]
    if (limit.shared or false) == (shared or false) then
      local use = use_of(book, limit, limit.known, spent, shares)
      local over = seen[i] + use - limit[4]
      if use > 0 and over > 0 then
        if not shared then return limit[1] end
        reason, short[#short + 1] = reason or limit[1], {i - 1, over, over}
      end
    end
  end
  return reason, short
end

-- Whether a record that has taken tombstones in may stand, with that much wanted: kind and detail;
-- and what a program's quotas lack, where nothing else refuses.
local function standing(book, r, base, limits, seen, funds)
  local hold, posted = fold(r)
  local spent = hold + posted
  -- A credit that is available when it posts holds nothing, whatever came before it.
  local nothing_left = spent == 0 and (r[SIGN] == 1 or r[POSTS] ~= 0)
  if r[APPROVED] > 0 and (taken_back(r) or nothing_left) then return 'reversed', '' end
  local full = first_full(book, limits, seen, spent, base.shares)
  if full then return 'over_limit', full end
  local news = spent - base.hold - base.posted
  if funds and news > 0 and news > funds then return 'no_funds', '' end
  local short
  full, short = first_full(book, limits, seen, spent, base.shares, true)
  if full then return 'over_limit', full, short end
  return 'held', ''
end

-- What each limit's window has in it. Where that is not one number, the journal is told so:
-- {which limit, what was seen, what is new of what is asked}. Of a program's, which has its ceiling
-- here by what the shard was granted: {which limit, what is used here, what may be used here}.
local function looked_at(book, limits)
  local seen, windows, quotas = {}, {}, {}
  for i = 1, #limits do
    local limit = limits[i]
    if is_shared(limit[2]) then
      limit.shared = true
      seen[i], limit[4] = quota_seen(book, limit[2], limit[4])
      quotas[#quotas + 1] = {i - 1, seen[i], limit[4]}
    else
      seen[i], limit.known = seen_of(book, limit)
    end
    if limit.bucket then
      windows[#windows + 1] = {i - 1, seen[i], limit.known and 0 or limit[3]}
    end
  end
  return seen, windows, quotas
end

-- A decline rises in the counters of declines, but for one by their own ceiling: or a window would
-- never pass. Returns those that rose, as a record names them.
local DECLINED = {declined = true, over_limit = true, no_funds = true}
local REFERRED = 'referred' -- a ceiling's word, where an exception is used up

local function count_decline(book, limits, kind, detail, moves)
  local tried = {}
  if not DECLINED[kind] or (kind == 'over_limit' and detail == REFERRED) then return tried end
  for i = 1, #limits do
    if limits[i][5] == DECLINES and kind == 'over_limit' and limits[i][1] == detail then return tried end
  end
  for i = 1, #limits do
    local limit = limits[i]
    if limit[5] == DECLINES then
      move_limit(book, moves, limit, 1)
      tried[#tried + 1] = {limit[2], DECLINES, limit[6], limit[8]}
    end
  end
  return tried
end

-- The counters of a request as they were read: the book, what each limit saw, windows and quotas.
local function counters_of(account, control, sent_at, limits, now, days_at, first_at)
  local book = open_book(account, sent_at, control)
  learn_days(book, now[days_at])
  for i = 1, #limits do learn(book, limits[i].field, now[first_at + i]) end
  return book, looked_at(book, limits)
end

-- What rises with the verdict: {counter, before, after}, and those that rose by a decline. Those that
-- follow a record that took others in move with it.
local function risen_by(book, limits, kind, detail, spent, r)
  local counters = {}
  local tried = count_decline(book, limits, kind, detail, counters)
  for i = 1, r and 0 or #limits do
    local limit = limits[i]
    local follows = limit[5] ~= DECLINES
    local risen = kind == 'held' and follows and share(spent, limit[5]) or 0
    if risen > 0 or (not limit.bucket and (follows or #tried == 0)) then
      if limit.shared then
        move_quota(book, counters, limit[2], risen, limit[6])
      else
        move_limit(book, counters, limit, risen)
      end
    end
  end
  return counters, tried
end

local function authorize(keys, args)
  local account, answer = keys[2], keys[5]
  local a, record = cmsgpack.unpack(args[2]), args[4]
  local message_id, fingerprint, attempt, card_id = a[1], a[2], a[3], a[6]
  local account_version, card_version, lists = whole(a[7]), whole(a[8]), whole(a[9])
  local planned, amount, currency = a[10], whole(a[11]), a[12]
  local credit_line, expires, answer_ttl = whole(a[13]), whole(a[14]), whole(a[15])
  local references, limits, posts, sign, sent_at = a[16], a[17], whole(a[18]), whole(a[19]),
    whole(a[20])
  local asked, part_reference, inquires = whole(a[21]), a[22], a[23] == 1
  for i = 1, #limits do prepare(limits[i]) end
  if #keys ~= (a[26] ~= '' and 6 or 5) or amount < 0 or credit_line < 0 or expires < 0 or answer_ttl <= 0
    or asked < 0 or (asked > amount and part_reference == '') or (asked == 0) ~= (amount == 0)
    or (posts ~= 0 and posts ~= 1 and not (posts == 2 and sign == -1))
    or (sign ~= 1 and sign ~= -1) then
    error('bad_args: out of range')
  end

  local gate, shut = enter(keys[1], keys[4], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, fingerprint, attempt)
  if again then return again end

  -- Everything that this act may touch, in one read: the eight, then references, then counters.
  local posted_field, held_field, own_field = 'posted:' .. currency, 'held:' .. currency,
    'a:' .. message_id
  local fields = {'version', 'c:' .. card_id, posted_field, held_field, own_field, 'entries',
    'digest', 'w'}
  local at_references, at_counters = 8, 8 + #references
  for i = 1, #references do fields[at_references + i] = 'r:' .. references[i] end
  for i = 1, #limits do fields[at_counters + i] = 'u:' .. limits[i].field end
  local now = redis.call('HMGET', account, unpack(fields))
  local version, card, chain = now[1], now[2], chain_of(now[6], now[7])
  if not version or not card then return {message_id, 'cold'} end

  -- Its record is for ever: whatever became of its answer's string, it is judged once.
  local own = now[5] and cmsgpack.unpack(now[5])
  if own and own[ORIGINAL] == message_id then
    local given = own[GIVEN]
    if given[FINGERPRINT] ~= fingerprint then return mismatch(message_id) end
    if hold(given[HOLDERS], attempt) then
      redis.call('HSET', account, own_field, cmsgpack.pack(own))
    end
    return verdict(message_id, given, message_id, 1, own)
  end

  local shut_out = fence(message_id, gate, account, version, card, account_version, card_version,
    lists)
  if shut_out then return shut_out end

  -- Did reversals of it come first? Then their tombstones wait under its references. (An inquiry
  -- is nothing that could be reversed.)
  local named, known, shared, tombstones = {}, {}, false, {}
  for i = 1, #references do
    named[references[i]] = now[at_references + i]
    shared = shared or now[at_references + i]
  end
  if inquires then own, shared = nil, false end
  if own then known[message_id] = own end
  if shared then
    tombstones = tombstones_of(account, references, named, known, sent_at,
      exact_of(references, whole(a[24]), ''))
  end
  if own and not has(tombstones, message_id) then tombstones[#tombstones + 1] = message_id end
  local r, base, gone, set, drop = nil, nothing(), {}, {}, {}
  if #tombstones > 0 then
    r = cmsgpack.unpack(record)
    if own and not fits(r, own) then return mismatch(message_id) end
    gone = absorb(r, message_id, tombstones, known, base, drop)
  end

  local balance, held = whole(now[3] or 0), whole(now[4] or 0)
  local funds = sign == 1 and balance - held + credit_line or nil
  local kind, detail, fit, short = 'declined', '', amount, nil
  local book, seen, windows, quotas = counters_of(account, keys[1], sent_at, limits, now, 8,
    at_counters)
  if planned ~= 'approved' then
    fit = 0
  elseif amount == 0 and not r and first_full(book, limits, seen, 0, base.shares) then
    kind, detail = 'over_limit', first_full(book, limits, seen, 0, base.shares)
  elseif inquires then
    kind, detail = 'told', text(balance) .. ' ' .. text(balance - held + credit_line)
  elseif r then
    -- With a partial reversal waiting it holds less than was asked; with its completion or advice
    -- there already, nothing more. What is held beyond the asked amount is held, or not.
    kind, detail, short = standing(book, r, base, limits, seen, funds)
    if asked > amount then kind, detail, short = 'over_limit', 'transaction_limit', nil end
    if short and a[27] ~= 1 then return say_short(message_id, short) end
    if asked < amount and (kind == 'over_limit' or kind == 'no_funds') then
      r[APPROVED] = asked
      kind, detail = standing(book, r, base, limits, seen, funds)
    end
    fit = r[APPROVED]
  elseif amount == 0 then
    kind = 'held'
  else
    fit, kind, detail, short = fitting(amount, asked, limits, seen, funds, part_reference ~= '')
    if short and a[27] ~= 1 then return say_short(message_id, short) end
  end

  -- Less than was asked, where less will do: in the transaction's currency a unit less rather
  -- than one more.
  if kind ~= 'held' and fit > 0 and part_reference ~= '' and not r and planned == 'approved' then
    local asked_minor = cmsgpack.unpack(record)[ASKED]
    local part = divided(fit, asked_minor, asked)
    if part > 0 then
      r = cmsgpack.unpack(record)
      r[APPROVED], r[ASKED] = fit, part
      r[REFERENCES][#r[REFERENCES] + 1] = part_reference
      kind, detail = 'held', 'partial'
    end
  elseif kind == 'held' and fit < amount and not r then
    r = cmsgpack.unpack(record)
    r[APPROVED] = fit
  end

  local hold_now, post_now = 0, 0
  if kind == 'held' and r then
    hold_now, post_now = fold(r)
  elseif kind == 'held' then
    hold_now, post_now = posts ~= 1 and (sign == 1 or posts == 2) and amount or 0,
      posts == 1 and amount or 0
  end
  local counters, tried = risen_by(book, limits, kind, detail, hold_now + post_now, r)

  -- An approval has a record; so has a decline that meets what came before it, which is used up.
  local given, id = {fingerprint, kind, detail, planned, hold_now, {attempt}}, ''
  if #tried > 0 then
    given[TOLD_TALLY], given[TOLD_CURRENCY], given[TOLD_TRIED] = '', '', tried
  end
  if r then
    if kind ~= 'held' then
      r[APPROVED] = 0
      -- Of what is declined there is nothing that a completion would say again: as if it had come
      -- first, and left no record. What was taken back is another matter: it posts nothing at all.
      if kind ~= 'reversed' then r[POSTS] = 0 end
      hold_now, post_now = fold(r)
    end
    r[HOLDS], r[POSTED], r[GIVEN], r[TRIED] = hold_now, post_now,
      {fingerprint, kind, detail, planned, given[HELD], {attempt}}, tried
    for _, moved in ipairs(moved_counters(book, r, base, hold_now + post_now)) do
      counters[#counters + 1] = moved
    end
    record = cmsgpack.pack(r)
  end
  local held_delta, posted_delta = (hold_now - base.hold) * sign, (base.posted - post_now) * sign
  if math.abs(held + held_delta) > EXACT_MAX or math.abs(balance + posted_delta) > EXACT_MAX then
    error('bad_args: the balance would not be exact')
  end
  if r or kind == 'held' then
    id = message_id
    set[1], set[2] = own_field, record
    if shared or r then
      plan_references(account, r or cmsgpack.unpack(record), id, gone, named, set)
    else
      for i = 1, #references do set[#set + 1], set[#set + 2] = fields[at_references + i], id end
    end
  end
  sweep_and_plan(book, counters, set, drop)
  if held_delta ~= 0 then set[#set + 1], set[#set + 2] = held_field, text(held + held_delta) end
  if posted_delta ~= 0 then
    set[#set + 1], set[#set + 2] = posted_field, text(balance + posted_delta)
  end

  local totals = plan_totals(keys[1], a[25], currency, sign, posted_delta, 1,
    kind == 'held' or kind == 'told')
  if kind == 'told' then given[TOLD_TALLY], given[TOLD_CURRENCY] = a[25], currency end
  local review = plan_review(keys[1], account, keys[6], a[26], given, message_id)
  set_review(review, set, message_id, card_id, gate.now_ms, args[3])

  -- The verdict stands. From here on only writes, and none but the first may fail.
  if r then
    write_end(keys[3], a[5], id, r, ended_of(gone, known))
  elseif hold_now > 0 then
    redis.call('ZADD', keys[3], text(expires), a[5] .. ' ' .. id)
  end
  if id == '' then write_answer(gate, answer, given, id, before, answer_ttl) end
  commit(gate, account, chain, set, drop, reviewed(counted({1, 'authorization', message_id, id, a[5],
    card_id, kind, detail, currency, posted_delta, held_delta, balance + posted_delta,
    held + held_delta, 0, counters, {account_version, card_version, lists},
    #gone > 0 and gone or nil}, totals, windows, quotas), review), args[3], book.quotas)
  write_totals(keys[1], totals)
  write_review(review, keys[1], keys[6], a[5], message_id)
  return with_review(verdict(message_id, given, id, 0, r), review)
end

redis.register_function('authz_authorize', authorize)
