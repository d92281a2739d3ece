--[[
What is known of a network and not of an account. It is kept in the control hash of one shard, which
the network's name picks:

  d:<network>   "<day in force> <day before it that ended> <second of the last cut-over> <moves>"

Moves counts how often it changed, so that an engine that reads knows what is newer: a person may set
a day back. One of before that was counted has no such word: it is 0.
Days are counted from 1970. A network that never cut over has no such field: the calendar's day is
in force there.
]]

-- An undated cut-over so soon after another is the same one, told over a sister link: no business
-- day is as short. Else two links would move the day by two.
local SISTER_S = 43200

-- A network's days as they stand: in force, ended, second of the last cut-over, moves; or nothing.
local function read_days(packed)
  local in_force, ended, at, moves = string.match(packed or '', '^(%d+) (%d+) (%d+) ?(%d*)$')
  if in_force then
    return whole(in_force), whole(ended), whole(at), moves == '' and 0 or whole(moves)
  end
end

local function days_text(in_force, ended, at, moves)
  return text(in_force) .. ' ' .. text(ended) .. ' ' .. text(at) .. ' ' .. text(moves)
end

--[[
cut_over: a network's business day ends, and another begins. It never goes back.

keys   1 control   2 journal   3 answer
args   1 run id   2 list   3 body
list   1 message id   2 fingerprint   3 attempt   4 deadline, ms   5 network
       6 day that begins, 0: the next   7 today, by the calendar   8 answer's life, s
reply  as authorize: moved | same | older | mismatch; detail: day in force, the one that ended, moves
]]
local function cut_over(keys, args)
  local control, answer = keys[1], keys[3]
  local a = cmsgpack.unpack(args[2])
  local message_id, day, today, answer_ttl = a[1], whole(a[6]), whole(a[7]), whole(a[8])
  if #keys ~= 3 or day < 0 or today <= 0 or answer_ttl <= 0 then
    error('bad_args: out of range')
  end
  local gate, shut = enter(control, keys[2], args[1], whole(a[4]))
  if not gate then return {message_id, shut} end
  local before = read_answer(answer)
  local again = replay(answer, before, message_id, a[2], a[3])
  if again then return again end

  local field = 'd:' .. a[5]
  local known = redis.call('HMGET', control, field, 'entries', 'digest')
  local now_s, kind, set = math.floor(gate.now_ms / 1000), 'moved', {}
  local in_force, ended, moved_s, moves = read_days(known[1])
  if in_force then
    if day == 0 and now_s - moved_s < SISTER_S then
      kind = 'same'
    elseif day ~= 0 and day <= in_force then
      kind = day == in_force and 'same' or 'older'
    end
  end
  if kind == 'moved' then
    local old = in_force or today
    if day == 0 then day = old + 1 end
    -- The calendar was no cut-over: the first that comes may name its day, or the one before.
    in_force, ended, moves = day, math.min(old, day - 1), (moves or 0) + 1
    set = {field, days_text(in_force, ended, now_s, moves)}
  end
  local days = text(in_force) .. ' ' .. text(ended)
  local given = {a[2], kind, days .. ' ' .. text(moves), 'approved', 0, {a[3]}}

  -- From here on only writes, and none may fail.
  write_answer(gate, answer, given, '', before, answer_ttl)
  commit(gate, control, chain_of(known[2], known[3]), set, {}, {1, 'cut_over', message_id, '', '',
    '', kind, days, '', 0, 0, 0, 0, 0, {}, {in_force}}, args[3])
  return verdict(message_id, given, '', 0)
end

--[[
set_day: a named person says which business day of a network is in force, also an earlier one. When
the network cut over last stays as it was.

keys   1 control   2 journal
args   1 run id   2 list: network, day, today by the calendar   3 body
reply  network, moved | same, days as they stand;  or cold | full
]]
local function set_day(keys, args)
  local network, day, today = unpack(cmsgpack.unpack(args[2]))
  day, today = whole(day), whole(today)
  if #keys ~= 2 or day <= 0 or today <= 0 then error('bad_args: out of range') end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {network, shut} end
  local field = 'd:' .. network
  local known = redis.call('HMGET', keys[1], field, 'entries', 'digest')
  local in_force, ended, moved_s, moves = read_days(known[1])
  if day == in_force then return {network, 'same', known[1]} end
  -- What ended last is never the day that begins or one after it.
  if not in_force or day > in_force then ended = in_force or today end
  ended, moves = math.min(ended, day - 1), (moves or 0) + 1
  local days = days_text(day, ended, moved_s or 0, moves)
  local chain = chain_of(known[2], known[3])

  -- From here on only writes, and none may fail.
  commit(gate, keys[1], chain, {field, days}, {}, {1, 'cut_over', 'set/' .. network .. '/' ..
    text(moves), '', '', '', 'moved', text(day) .. ' ' .. text(ended), '', 0, 0, 0, 0, 0, {},
    {day}}, args[3])
  return {network, 'moved', days}
end

redis.register_function('authz_cut_over', cut_over)
redis.register_function('authz_set_day', set_day)
