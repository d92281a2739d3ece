--[[
Totals: what networks are told in a reconciliation, counted in the same step as the act. They stand in
the shard's control hash, so that they are read in as many reads as there are shards:

  t:<network>/<day>/<currency>/<kind>   "<how many> <amount>", minor units
  totals_from                           the first day that is still kept

A message counts as a debit, a credit or a reversal of either by what it moves of the posted balance, and
as much: so debits less their reversals are what was posted, to the cent, in whatever order it came.
Days are counted from 1970. The network, its day and the kind of message are Python's to say.
]]
local TALLY = 18 -- of a record: what it was counted under, "<network>/<day> <kind or nothing>"
local TOLD_TALLY, TOLD_CURRENCY = 9, 10 -- the same of an answer in no record
local TOLD_TRIED = 11 -- and the counters that rose because it was declined

-- Whether that act is there already, so that it was counted: not where it was withdrawn.
local function has_act(acts, id)
  for i = 1, #acts do
    if acts[i][ACT_ID] == id then return acts[i][KIND_OF] ~= 'void' end
  end
  return false
end

-- What a currency is counted as.
local currency_of
do -- what nothing else needs a name for: Lua allows a chunk 200 locals
-- What a currency may be here: ISO 4217's, by its list of 2026, and whatever else a message says as
-- one of them, so that nobody names as many as there are numbers.
local CURRENCIES = ' 008 012 032 036 044 048 050 051 052 060 064 068 072 084 090 096 104 '
  .. '108 116 124 132 '
  .. '136 144 152 156 170 174 188 192 203 208 214 222 230 232 238 242 262 270 292 320 324 '
  .. '328 332 340 344 348 352 356 360 364 368 376 388 392 396 398 400 404 408 410 414 417 '
  .. '418 422 426 430 434 446 454 458 462 480 484 496 498 504 512 516 524 532 533 548 554 '
  .. '558 566 578 586 590 598 600 604 608 634 643 646 654 682 690 702 704 706 710 728 748 '
  .. '752 756 760 764 776 780 784 788 800 807 818 826 834 840 858 860 882 886 901 924 925 '
  .. '926 927 928 929 930 933 934 936 938 940 941 943 944 946 947 948 949 950 951 952 953 '
  .. '955 956 957 958 959 960 961 962 963 964 965 967 968 969 970 971 972 973 976 977 978 '
  .. '979 980 981 984 985 986 990 994 997 999 '
local NO_CURRENCY = '999'
local listed -- the currencies as a set, once one was looked for

function currency_of(currency)
  if not listed then
    listed = {}
    for code in string.gmatch(CURRENCIES, '%d+') do listed[code] = true end
  end
  return listed[currency] and currency or NO_CURRENCY
end
end

-- What a message is counted under: {the beginning of its totals' names, its kind or '', the name of
-- the one that counts messages of its kind}. Nil where nothing counts it.
local function tallied(tally, currency)
  local space = tally and find(tally, ' ', 1, true)
  if not space or currency == '' then return nil end
  local prefix = sub(tally, 1, space - 1) .. '/' .. currency_of(currency) .. '/'
  local kind = sub(tally, space + 1)
  return {prefix, kind, 't:' .. prefix .. kind}
end

-- One total afterwards: {name, count, amount, value of the field}.
local function raised(name, by, amount, now)
  local count, sum = 0, '0'
  if now then
    local space = find(now, ' ', 1, true) or 1 -- without one the count is '', no number
    count, sum = sub(now, 1, space - 1), sub(now, space + 1)
  end
  local after = whole(whole(sum) + amount)
  if amount ~= 0 then sum = text(after) end
  return {name, by, amount, text(whole(count + by)) .. ' ' .. sum}
end

-- What an act adds to totals: {name, count, amount, value of the field afterwards} of each. `by` is -1
-- where it is taken back; `counts`, whether the message itself does, beside the money that it moves.
-- `gate` has what its kind's total was, where that was read with it.
local function raised_totals(control, under, sign, posted_delta, by, counts, gate)
  local moves = {}
  if not under then return moves end
  local prefix, kind = under[1], under[2]
  if counts and kind ~= '' then
    local now = gate and gate.read
    if not gate then now = call('HGET', control, under[3]) end
    moves[1] = raised(prefix .. kind, by, 0, now)
  end
  local moved = posted_delta * by
  if moved ~= 0 then
    local money
    if sign == 1 then
      money = moved < 0 and 'debits' or 'debit_reversals'
    else
      money = moved > 0 and 'credits' or 'credit_reversals'
    end
    local name = prefix .. money
    moves[#moves + 1] = raised(name, by, math.abs(moved) * by, call('HGET', control, 't:' .. name))
  end
  return moves
end

local function plan_totals(control, tally, currency, sign, posted_delta, by, counts)
  return raised_totals(control, tallied(tally, currency), sign, posted_delta, by, counts)
end

-- An envelope that tells of them, and of what was seen in windows and of quotas.
local function counted(envelope, moves, windows, quotas)
  local shared = quotas and #quotas > 0
  if shared or (windows and #windows > 0) then
    envelope[17], envelope[18], envelope[19], envelope[20] = envelope[17] or {}, {}, '', windows
    if shared then envelope[21] = quotas end
  end
  if #moves > 0 then
    envelope[17] = envelope[17] or {}
    envelope[18] = envelope[18] or {}
    for i = 1, #moves do envelope[18][i] = {moves[i][1], moves[i][2], moves[i][3]} end
  end
  return envelope
end

local function write_totals(control, moves)
  for i = 1, #moves do call('HSET', control, 't:' .. moves[i][1], moves[i][4]) end
end
