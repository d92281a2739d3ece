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
    if room < fit then fit = room end
  end
  if funds and funds < asked and kind == 'held' then kind = 'no_funds' end
  if funds and funds < fit then fit = funds end
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

-- What nothing came before amounts to, and a list of nothing. Nobody writes into either.
local NOTHING_BEFORE, NONE = nothing(), {}

-- Where a number is no whole one that is exact, or out of its range, the caller has a bug.
local function check(a, keys)
  local amount, credit_line, asked, posts, sign = a[11], a[13], a[21], a[18], a[19]
  if amount > EXACT_MAX or credit_line > EXACT_MAX or asked > EXACT_MAX or amount % 1 ~= 0
    or credit_line % 1 ~= 0 or asked % 1 ~= 0
    or (a[4] + a[7] + a[8] + a[9] + a[14] + a[15] + a[20] + a[24]) % 1 ~= 0 then
    error('bad_args: not a whole number that is exact')
  end
  if #keys ~= (a[26] ~= '' and 6 or 5) or amount < 0 or credit_line < 0 or a[14] < 0 or a[15] <= 0
    or asked < 0 or (asked > amount and a[22] == '') or (asked == 0) ~= (amount == 0)
    or (posts ~= 0 and posts ~= 1 and not (posts == 2 and sign == -1))
    or (sign ~= 1 and sign ~= -1) then
    error('bad_args: out of range')
  end
end

-- The answer that stands in its own record, given again.
local function given_again(account, field, own, message_id, fingerprint, attempt)
  local given = own[GIVEN]
  if given[FINGERPRINT] ~= fingerprint then return mismatch(message_id) end
  if hold(given[HOLDERS], attempt) then call('HSET', account, field, pack(own)) end
  return verdict(message_id, given, message_id, 1, own)
end

-- What its references name, as it was read.
local AT_REFERENCES = 8 -- so much else is read before them

local function named_by(references, now)
  local named = {}
  for i = 1, #references do named[references[i]] = now[AT_REFERENCES + i] end
  return named
end

-- What came before the authorization and waits for it: tombstones under its references, and what
-- stands under its own id. Returns its record with all of that taken in, or nil where nothing waits,
-- or false where it must not be taken in; what that amounted to; the ids that went, and all that
-- was read.
local function taken_in(account, a, record, own, shared, named, drop)
  local message_id, references, known, tombstones = a[1], a[16], {}, NONE
  if own then known[message_id] = own end
  if shared then
    tombstones = tombstones_of(account, references, named, known, a[20],
      exact_of(references, a[24], ''))
  end
  if own and not has(tombstones, message_id) then
    tombstones = shared and tombstones or {}
    tombstones[#tombstones + 1] = message_id
  end
  if #tombstones == 0 then return nil, NOTHING_BEFORE, NONE, known end
  local r, base = unpacked(record), nothing()
  if own and not fits(r, own) then return false end
  return r, base, absorb(r, message_id, tombstones, known, base, drop), known
end

-- The counters of a request as they were read: the book, what each limit saw, windows and quotas.
local function counters_of(account, control, sent_at, limits, now, days_at, first_at)
  local book = open_book(account, sent_at, control)
  learn_days(book, now[days_at])
  for i = 1, #limits do
    local raw, limit = now[first_at + i], limits[i]
    if limit.bucket then
      learn(book, limit.field, raw)
    else
      local use = raw and raw + 0
      if use and use % 1 ~= 0 then error('bad_args: a counter of another kind') end
      book.fields[limit[2]] = use
    end
  end
  return book, looked_at(book, limits)
end

-- The verdict on a plan: kind, detail, how much fits, and what quotas lack.
local function judged(a, r, base, book, seen, balance, held)
  local amount, asked, limits = a[11], a[21], a[17]
  local available = balance - held + a[13]
  local funds = a[19] == 1 and available or nil
  if a[10] ~= 'approved' then return 'declined', '', 0 end
  local full = amount == 0 and not r and first_full(book, limits, seen, 0, base.shares)
  if full then return 'over_limit', full, 0 end
  if a[23] == 1 then return 'told', text(balance) .. ' ' .. text(available), amount end
  if not r then
    if amount == 0 then return 'held', '', 0 end
    local fit, kind, detail, short = fitting(amount, asked, limits, seen, funds, a[22] ~= '')
    return kind, detail, fit, short
  end
  -- With a partial reversal waiting it holds less than was asked; with its completion or advice
  -- there already, nothing more. What is held beyond the asked amount is held, or not.
  local kind, detail, short = standing(book, r, base, limits, seen, funds)
  if asked > amount then kind, detail, short = 'over_limit', 'transaction_limit', nil end
  if short and a[27] ~= 1 then return kind, detail, 0, short end
  if asked < amount and (kind == 'over_limit' or kind == 'no_funds') then
    r[APPROVED] = asked
    kind, detail = standing(book, r, base, limits, seen, funds)
  end
  return kind, detail, r[APPROVED]
end

-- The record of an approval of less than was wanted: without what is wanted beyond the asked amount;
-- or of less than was asked, in the transaction's currency a unit less rather than one more. Nil
-- where nothing is left.
local function in_part(record, kind, fit, asked, part_reference)
  local r = unpacked(record)
  if kind ~= 'held' then
    local part = divided(fit, r[ASKED], asked)
    if part == 0 then return nil end
    r[ASKED], r[REFERENCES][#r[REFERENCES] + 1] = part, part_reference
  end
  r[APPROVED] = fit
  return r
end

-- A counter that is a field of its own rises: what most limits of most approvals come to. It is set at
-- once: nothing that comes later in the act makes it fall.
local function rise(book, set, counter, by, ends)
  if ends > 0 and ends <= book.clock then return end
  local held = book.fields[counter]
  local after = (held or 0) + by
  if after > EXACT_MAX then error('bad_args: a counter would not be exact') end
  if not held and ends > 0 then book.created[#book.created + 1] = {counter, ends} end
  book.fields[counter] = after
  local n = #set
  set[n + 1], set[n + 2] = 'u:' .. counter, after
  return {counter, held or 0, after}
end

-- What rises with the verdict: {counter, before, after}, and those that rose by a decline. Those that
-- follow a record that took others in move with it.
local function risen_by(book, limits, kind, detail, spent, r, set)
  local counters, tried = {nil, nil, nil, nil, nil, nil, nil, nil}, NONE -- room for eight
  if kind ~= 'held' then tried = count_decline(book, limits, kind, detail, counters) end
  for i = 1, r and 0 or #limits do
    local limit = limits[i]
    local follows = limit[5] ~= DECLINES
    local risen = kind == 'held' and follows and share(spent, limit[5]) or 0
    if risen > 0 or (not limit.bucket and (follows or #tried == 0)) then
      if limit.shared then
        move_quota(book, counters, limit[2], risen, limit[6])
      elseif risen > 0 and not limit.bucket then
        counters[#counters + 1] = rise(book, set, limit[2], risen, limit[6])
      else
        move_limit(book, counters, limit, risen)
      end
    end
  end
  return counters, tried
end

-- A record of its own, not the one that was asked for: it has its answer, and what it amounts to.
-- Returns what is held and posted now.
local function settled(book, r, base, given, tried, counters)
  local kind = given[KIND]
  if kind ~= 'held' then
    r[APPROVED] = 0
    -- Of what is declined there is nothing that a completion would say again: as if it had come
    -- first, and left no record. What was taken back is another matter: it posts nothing at all.
    if kind ~= 'reversed' then r[POSTS] = 0 end
  end
  local hold_now, post_now = fold(r)
  r[HOLDS], r[POSTED], r[GIVEN], r[TRIED] = hold_now, post_now, {given[FINGERPRINT], kind,
    given[DETAIL], given[PLANNED], given[HELD], {given[HOLDERS][1]}}, tried
  for _, moved in ipairs(moved_counters(book, r, base, hold_now + post_now)) do
    counters[#counters + 1] = moved
  end
  return hold_now, post_now
end

local function authorize(keys, args)
  local control, account, answer = keys[1], keys[2], keys[5]
  local a, record = unpacked(args[2]), args[4]
  local message_id, fingerprint, attempt, card_id, planned = a[1], a[2], a[3], a[6], a[10]
  local amount, currency, references, limits, posts, sign = a[11], a[12], a[16], a[17], a[18], a[19]
  check(a, keys)
  for i = 1, #limits do prepare(limits[i]) end

  local under = tallied(a[25], currency)
  local gate, shut = enter(control, keys[4], args[1], a[4], under and under[3])
  if not gate then return {message_id, shut} end

  local before = read_answer(answer)
  local again = replay(answer, before, message_id, fingerprint, attempt)
  if again then return again end

  -- Everything that this act may touch, in one read: the eight, then references, then counters.
  local posted_field, held_field, own_field = 'posted:' .. currency, 'held:' .. currency,
    'a:' .. message_id
  local fields = {'version', 'c:' .. card_id, posted_field, held_field, own_field, 'entries',
    'digest', 'w'}
  local at_counters = AT_REFERENCES + #references
  for i = 1, #references do fields[AT_REFERENCES + i] = 'r:' .. references[i] end
  for i = 1, #limits do
    fields[at_counters + i] = 'u:' .. (limits[i].field or limits[i][2])
  end
  local now = call('HMGET', account, spread(fields))
  local version, card, chain = now[1], now[2], chain_of(now[6], now[7])
  if not version or not card then return {message_id, 'cold'} end

  -- Its record is for ever: whatever became of its answer's string, it is judged once.
  local own = now[5] and unpacked(now[5])
  if own and own[ORIGINAL] == message_id then
    return given_again(account, own_field, own, message_id, fingerprint, attempt)
  end

  local shut_out = fence(message_id, gate, account, version, card, a[7], a[8], a[9])
  if shut_out then return shut_out end

  -- Did reversals of it come first? (An inquiry is nothing that could be reversed.)
  local shared = false
  for i = 1, #references do shared = shared or now[AT_REFERENCES + i] end
  local r, base, gone, known, set, drop = nil, NOTHING_BEFORE, NONE, nil, {}, {}
  if a[23] == 1 then own, shared = nil, false end
  if own or shared then
    r, base, gone, known = taken_in(account, a, record, own, shared, named_by(references, now), drop)
    if r == false then return mismatch(message_id) end
  end

  local balance, held = whole(now[3] or 0), whole(now[4] or 0)
  local book, seen, windows, quotas = counters_of(account, control, a[20], limits, now, 8,
    at_counters)
  local kind, detail, fit, short = judged(a, r, base, book, seen, balance, held)
  if short and a[27] ~= 1 then return say_short(message_id, short) end
  if kind == 'held' and fit < amount and not r then
    r = in_part(record, kind, fit)
  elseif kind ~= 'held' and fit > 0 and a[22] ~= '' and planned == 'approved' and not r then
    r = in_part(record, kind, fit, a[21], a[22])
    if r then kind, detail = 'held', 'partial' end
  end

  local hold_now, post_now = 0, 0
  if kind == 'held' and r then
    hold_now, post_now = fold(r)
  elseif kind == 'held' then
    set[1], set[2] = own_field, record
    hold_now, post_now = posts ~= 1 and (sign == 1 or posts == 2) and amount or 0,
      posts == 1 and amount or 0
  end
  local counters, tried = risen_by(book, limits, kind, detail, hold_now + post_now, r, set)

  -- An approval has a record; so has a decline that meets what came before it, which is used up.
  local given, id = {fingerprint, kind, detail, planned, hold_now, {attempt}}, ''
  if #tried > 0 then
    given[TOLD_TALLY], given[TOLD_CURRENCY], given[TOLD_TRIED] = '', '', tried
  end
  if r then
    hold_now, post_now = settled(book, r, base, given, tried, counters)
    set[1], set[2] = own_field, pack(r)
  end
  local held_delta, posted_delta = (hold_now - base.hold) * sign, (base.posted - post_now) * sign
  local held_after, posted_after = held + held_delta, balance + posted_delta
  if held_after > EXACT_MAX or held_after < -EXACT_MAX or posted_after > EXACT_MAX
    or posted_after < -EXACT_MAX then
    error('bad_args: the balance would not be exact')
  end
  if r or kind == 'held' then
    id = message_id
    if shared or r then
      plan_references(account, r or unpacked(record), id, gone, named_by(references, now), set)
    else
      local n = #set
      for i = 1, #references do
        set[n + 1], set[n + 2] = fields[AT_REFERENCES + i], id
        n = n + 2
      end
    end
  end
  sweep_and_plan(book, counters, set, drop)
  if held_delta ~= 0 then set[#set + 1], set[#set + 2] = held_field, held_after end
  if posted_delta ~= 0 then set[#set + 1], set[#set + 2] = posted_field, posted_after end

  local totals = raised_totals(control, under, sign, posted_delta, 1,
    kind == 'held' or kind == 'told', gate)
  if kind == 'told' then given[TOLD_TALLY], given[TOLD_CURRENCY] = a[25], currency end
  local review = plan_review(control, account, keys[6], a[26], given, message_id)
  set_review(review, set, message_id, card_id, gate.now_ms, args[3])

  -- The verdict stands. From here on only writes, and none but the first may fail.
  if r then
    write_end(keys[3], a[5], id, r, ended_of(gone, known))
  elseif hold_now > 0 then
    call('ZADD', keys[3], a[14], a[5] .. ' ' .. id)
  end
  if id == '' then write_answer(gate, answer, given, id, before, a[15]) end
  commit(gate, account, chain, set, drop, reviewed(counted({1, 'authorization', message_id, id,
    a[5], card_id, kind, detail, currency, posted_delta, held_delta, posted_after,
    held_after, 0, counters, {a[7], a[8], a[9]}, #gone > 0 and gone or nil}, totals, windows,
    quotas), review), args[3], book.quotas)
  write_totals(control, totals)
  write_review(review, control, keys[6], a[5], message_id)
  return with_review(verdict(message_id, given, id, 0, r), review)
end

redis.register_function('authz_authorize', authorize)
