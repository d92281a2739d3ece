--[[
An authorization's record: what it is made of, what its acts amount to, and how that moves balance and
counters. Said in Python in record.py.
]]

-- An authorization's record, a list by these places. `ORIGINAL` is the message id of the
-- authorization itself, '' while only what refers to it has come: the record is a tombstone then.
-- `REFERENCES` are all that name it; `ACTS` are the others, {kind, message id, sent at, amount,
-- currency, billed, reference}; `TOUCHED` the counters, {counter, scale, end, size}; `GIVEN` the
-- answer, {} where none was; `POSTS` is 1 where the whole of it posts at once, 2 where it is a credit that is
-- available from its approval: a hold of less than nothing; `SIGN` is -1 for a credit;
-- `HOLDS` and `POSTED` are what its acts amount to. What is spent is counted by `TOUCHED`, the
-- authorization's own counters, once it is approved; else by those that its acts brought, `BESIDE`.
-- `SENT` is when it was sent, by DE 7; an eighteenth place is told of in totals.lua. `TRIED` are the
-- counters that rose because it was declined, which happens where it met what came before it.
local TRIED = 19
local ASKED, ASKED_IN, APPROVED, CURRENCY, CARD, EXPIRES, ORIGINAL, REFERENCES, ACTS, TOUCHED,
  HOLDS, GIVEN, POSTS, SIGN, POSTED, BESIDE, SENT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  16, 17

local function tombstone(card)
  return {0, '', 0, '', card, 0, '', {}, {}, {}, 0, {}, 0, 1, 0, {}, 0, ''}
end

local function touched_of(r)
  return r[GIVEN][KIND] == 'held' and r[TOUCHED] or r[BESIDE]
end

-- a * b / c as quotient and rest, exact: the product may need more than 53 bits, so it is
-- built bit by bit. 0 <= a <= c, 0 <= b, 0 < c.
local function divided(a, b, c)
  local quotient, rest, bit = 0, 0, 1
  local bits = {}
  while bit <= b do bits[#bits + 1] = bit; bit = bit * 2 end
  for i = #bits, 1, -1 do
    quotient, rest = quotient * 2, rest * 2
    if b % (bits[i] * 2) >= bits[i] then rest = rest + a end
    while rest >= c do rest = rest - c; quotient = quotient + 1 end
  end
  return quotient, rest
end

-- The same, half to even.
local function scale(a, b, c)
  if a == c then return b end
  local quotient, rest = divided(a, b, c)
  if rest * 2 > c or (rest * 2 == c and quotient % 2 == 1) then quotient = quotient + 1 end
  return quotient
end

-- The kinds of acts. A reversal names what it takes back: one of these acts, by that act's own
-- reference; or the authorization, by the authorization's own or by nothing. One that names what has
-- not come takes nothing back yet; but where the authorization itself has not come, it may be meant.
--   full      all is taken back            part      all but `amount` is taken back
--   more      an increment                 set       an advice: the hold is this much from here on
--   post      a completion, more to come   last      the last completion of PARTS, or the only one
--   expired, released                      the hold has ended
--   void      an increment that was withdrawn: of nothing, and still what its own reversal names
local KIND_OF, ACT_ID, SENT_AT, AMOUNT, AMOUNT_IN, BILLED, NAMES, PARTS = 1, 2, 3, 4, 5, 6, 7, 8
local TARGETS = {more = true, set = true, post = true, last = true, void = true}
local SHIPS = {post = true, last = true}

-- The references of acts that a reversal may name.
local function targets_of(acts)
  local targets = {}
  for i = 1, #acts do
    if TARGETS[acts[i][KIND_OF]] and acts[i][NAMES] ~= '' then targets[acts[i][NAMES]] = true end
  end
  return targets
end

local function in_network_order(a, b)
  if a[SENT_AT] ~= b[SENT_AT] then return a[SENT_AT] < b[SENT_AT] end
  return a[ACT_ID] < b[ACT_ID]
end

-- What a part leaves of what was billed for what was asked, in both currencies. It is told in the
-- transaction's currency or in the billing currency; in a third it says nothing.
local function left_of(r, part, billed, asked, asked_in)
  local remaining, currency = part[AMOUNT], part[AMOUNT_IN]
  if currency == '' or currency == asked_in then
    if remaining < asked then return scale(remaining, billed, asked), remaining end
  elseif currency == r[CURRENCY] and remaining < billed then
    return remaining, scale(remaining, asked, billed)
  end
  return billed, asked
end

-- Whether a reversal is of the authorization itself.
local function means_all(r, act, targets)
  local names = act[NAMES]
  if targets[names] then return false end
  return names == '' or r[ORIGINAL] == '' or names == r[REFERENCES][1]
end

-- An act's own amounts, less what reversals that name it take back, and whether that is all.
local function amounts_of(r, act, acts)
  local billed, asked, names = act[BILLED], act[AMOUNT], act[NAMES]
  if names == '' then return billed, asked, false end
  for i = 1, #acts do
    local other = acts[i]
    if other[NAMES] == names then
      if other[KIND_OF] == 'full' then return 0, 0, true end
      if other[KIND_OF] == 'part' then
        local b, a = left_of(r, other, act[BILLED], act[AMOUNT], act[AMOUNT_IN])
        billed, asked = math.min(billed, b), math.min(asked, a)
      end
    end
  end
  return billed, asked, false
end

local fold
do
-- What an increment asks for in the currency that the authorization was asked in: as told, or by
-- what it is billed.
local function asked_more(act, amount, billed, total, asked, asked_in)
  if act[AMOUNT_IN] == asked_in or total == 0 then return amount end
  local rest = billed % total
  return (billed - rest) / total * asked + scale(rest, asked, total)
end

-- What is held and what is posted after all acts, what all of it was authorized for, whether the last
-- word was that all of it is taken back, and whether it has ended: a function of the set of them,
-- whatever order they came in, since they are taken in the network's order. An advice that was sent
-- after a full reversal is a new word: the network took our late answer back, and then approved in
-- our stead. A completion of what posts at once says again how much: it does not post twice.
function fold(r)
  local acts = r[ACTS]
  local total, asked, asked_in, posted = r[APPROVED], r[ASKED], r[ASKED_IN], 0
  local ended, reversed, shipped, parts, at_once = false, false, 0, nil, r[POSTS] == 1
  if #acts > 0 then
    local ordered, targets = {}, targets_of(acts)
    for i = 1, #acts do ordered[i] = acts[i] end
    table.sort(ordered, in_network_order)
    -- Parts are told of what there was before any of them: roundings do not add up.
    local base, base_asked = total, asked
    for i = 1, #ordered do
      local act = ordered[i]
      local kind = act[KIND_OF]
      local replaces = kind == 'set' or (at_once and SHIPS[kind] and shipped == 0)
      if SHIPS[kind] then shipped = shipped + 1 end
      if kind == 'last' then parts = math.max(parts or 1, act[PARTS] or 1) end
      if replaces then
        total, asked, reversed = amounts_of(r, act, acts)
        asked_in = act[AMOUNT_IN]
        base, base_asked = total, asked
      elseif kind == 'more' or (at_once and SHIPS[kind]) then
        local billed, amount = amounts_of(r, act, acts)
        if not reversed then
          if total == 0 then asked_in = act[AMOUNT_IN] end
          asked = asked + asked_more(act, amount, billed, total, asked, asked_in)
          total = total + billed
        end
        base, base_asked = total, asked
      elseif SHIPS[kind] then
        posted = posted + amounts_of(r, act, acts)
      elseif kind == 'expired' or kind == 'released' then
        ended = true
      elseif kind == 'full' and means_all(r, act, targets) then
        total, asked, reversed = 0, 0, true
      elseif kind == 'part' and means_all(r, act, targets) then
        local b, a = left_of(r, act, base, base_asked, asked_in)
        total, asked = math.min(total, b), math.min(asked, a)
      end
    end
  end
  ended = ended or reversed or (parts ~= nil and shipped >= parts)
  if at_once then return 0, posted + total, total, reversed, ended end
  if ended or (r[SIGN] == -1 and r[POSTS] ~= 2) then return 0, posted, total, reversed, ended end
  return math.max(total - posted, 0), posted, total, reversed, ended
end
end

-- Whether the authorization itself was reversed in full, and that is the last word.
local function taken_back(r)
  local _, _, _, reversed = fold(r)
  return reversed
end

-- Whether it has ended, so that an increment would hold nothing.
local function has_ended(r)
  local _, _, _, _, ended = fold(r)
  return ended
end

-- Acts kept per record: a purchase in 99 shipments, the most that networks count, and a few more;
-- then room for reversals, and at last for the two ways to end. A record that grew with each
-- message would make every act on it slower.
local ACTS_MAX = {full = 190, expired = 192, released = 192}
local OTHER_ACTS_MAX = 120

-- One more act, unless it is there. Returns whether it is. One that was withdrawn comes again.
local function add_act(acts, act, most)
  for i = 1, #acts do
    if acts[i][ACT_ID] == act[ACT_ID] then
      if acts[i][KIND_OF] == 'void' then acts[i] = act end
      return true
    end
  end
  if #acts >= (most or ACTS_MAX[act[KIND_OF]] or OTHER_ACTS_MAX) then return false end
  acts[#acts + 1] = act
  return true
end

-- What a record amounts to before an act: hold, posted, and its share of each counter. Tombstones
-- that it takes in are added to it.
local function add_to(base, r)
  base.hold, base.posted = base.hold + r[HOLDS], base.posted + r[POSTED]
  for _, touched in ipairs(touched_of(r)) do
    local counter = touched[1]
    base.shares[counter] = (base.shares[counter] or 0) + share(r[HOLDS] + r[POSTED], touched[2])
    base.touched[counter] = touched
  end
end

local function nothing() return {hold = 0, posted = 0, shares = {}, touched = {}} end

-- The counters that move when `spent` is spent under a record: {counter, before, after}.
local function moved_counters(book, r, base, spent)
  local by, touches, names, moves = {}, {}, {}, {}
  for counter, had in pairs(base.shares) do
    by[counter], touches[counter] = -had, base.touched[counter]
  end
  for _, touched in ipairs(touched_of(r)) do
    local counter = touched[1]
    by[counter] = (by[counter] or 0) + share(spent, touched[2])
    touches[counter] = touched
  end
  for counter in pairs(by) do names[#names + 1] = counter end
  table.sort(names)
  for i = 1, #names do
    local touched = touches[names[i]]
    if is_shared(names[i]) then
      move_quota(book, moves, names[i], by[names[i]], touched[3] or 0)
    else
      move(book, moves, names[i], by[names[i]], touched[3] or 0, touched[4] or 0)
    end
  end
  return moves
end

-- Takes a record from what it was to what its acts amount to now: balance and counters. Returns
-- what moved, for the journal: {posted delta, held delta, posted after, held after, counters}.
local function plan_moves(book, r, base, hold, posted, set, drop)
  local held_delta, posted_delta = (hold - base.hold) * r[SIGN], (base.posted - posted) * r[SIGN]
  local moves = moved_counters(book, r, base, hold + posted)
  r[HOLDS], r[POSTED] = hold, posted
  if r[CURRENCY] == '' then return {0, 0, 0, 0, moves} end
  local posted_field, held_field = 'posted:' .. r[CURRENCY], 'held:' .. r[CURRENCY]
  local now = call('HMGET', book.hash, posted_field, held_field)
  local posted_after = whole(whole(now[1] or 0) + posted_delta)
  local held_after = whole(whole(now[2] or 0) + held_delta)
  if held_delta ~= 0 then set[#set + 1], set[#set + 2] = held_field, text(held_after) end
  if posted_delta ~= 0 then set[#set + 1], set[#set + 2] = posted_field, text(posted_after) end
  plan_counters(book, set, drop)
  return {posted_delta, held_delta, posted_after, held_after, moves}
end

-- The date on which a hold ends: the first write of an act, which may fail where nothing was read
-- of that key, and then nothing has been written. `ended` are records that were taken in.
local function write_end(expiry, account_id, id, r, ended)
  local prefix = account_id .. ' '
  if r[HOLDS] > 0 then
    call('ZADD', expiry, text(r[EXPIRES]), prefix .. id)
  else
    ended[#ended + 1] = id
  end
  for i = 1, #ended do ended[i] = prefix .. ended[i] end
  if #ended > 0 then call('ZREM', expiry, unpack(ended)) end
end
