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

-- Whether that act is there already, so that it was counted: not where it was withdrawn.
local function has_act(acts, id)
  for i = 1, #acts do
    if acts[i][ACT_ID] == id then return acts[i][KIND_OF] ~= 'void' end
  end
  return false
end

-- What an act adds to totals: {name, count, amount, value of the field afterwards} of each. `by` is -1
-- where it is taken back; `counts`, whether the message itself does, beside the money that it moves.
local function plan_totals(control, tally, currency, sign, posted_delta, by, counts)
  local moves = {}
  local prefix, kind = string.match(tally or '', '^(%S+) (%S*)$')
  if not prefix or currency == '' then return moves end
  prefix = prefix .. '/' .. currency .. '/'
  if counts and kind ~= '' then moves[1] = {prefix .. kind, by, 0} end
  local moved = posted_delta * by
  if moved ~= 0 then
    local money
    if sign == 1 then
      money = moved < 0 and 'debits' or 'debit_reversals'
    else
      money = moved > 0 and 'credits' or 'credit_reversals'
    end
    moves[#moves + 1] = {prefix .. money, by, math.abs(moved) * by}
  end
  for i = 1, #moves do
    local move = moves[i]
    local now = redis.call('HGET', control, 't:' .. move[1]) or '0 0'
    local count, amount = string.match(now, '^(%-?%d+) (%-?%d+)$')
    move[4] = text(whole(whole(count) + move[2])) .. ' ' .. text(whole(whole(amount) + move[3]))
  end
  return moves
end

-- An envelope that tells of them.
local function counted(envelope, moves)
  if #moves > 0 then
    envelope[17] = envelope[17] or {}
    envelope[18] = {}
    for i = 1, #moves do envelope[18][i] = {moves[i][1], moves[i][2], moves[i][3]} end
  end
  return envelope
end

local function write_totals(control, moves)
  for i = 1, #moves do redis.call('HSET', control, 't:' .. moves[i][1], moves[i][4]) end
end

--[[
forget_totals: totals of days before that one are dropped, a bounded number at once.

keys   1 control   2 journal
args   1 run id   2 list: the first day that is kept, how many fields at most
reply  shard's key, forgotten, how many;  or cold | full
]]
local function forget_totals(keys, args)
  local first, most = unpack(cmsgpack.unpack(args[2]))
  first, most = whole(first), whole(most)
  if #keys ~= 2 or most < 1 then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {keys[1], shut} end
  local flat, old = redis.call('HGETALL', keys[1]), {}
  for i = 1, #flat, 2 do
    local day = string.match(flat[i], '^t:[^/]+/(%d+)/')
    if day and whole(day) < first and #old < most then old[#old + 1] = flat[i] end
  end

  -- From here on only writes, and none may fail.
  redis.call('HSET', keys[1], 'totals_from', text(first))
  if #old > 0 then redis.call('HDEL', keys[1], unpack(old)) end
  return {keys[1], 'forgotten', #old}
end

redis.register_function({function_name = 'authz_forget_totals', callback = forget_totals,
  flags = {'allow-oom'}})
