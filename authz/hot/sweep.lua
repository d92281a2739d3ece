--[[
How counters end, and how what an act changed of them is written.

  w           "<clock> <day> …": what has ended by that moment does not move any more; then the
              days by which fields end, counted from 1970, the first first
  w:<day>     the fields that end by that day, a line each
]]
local SWEEP_MAX = 8 -- fields that ended, looked at in one act

-- Fields whose day has come, a few at a time: those that ended go, windows that moved on stay.
local function sweep(book, moves, set, drop)
  local clock, day = clock_of(book), book.first_day
  if not day or day * DAY_S > clock then return end
  local line, left, count = book.days_at .. ':' .. text(day), {}, 0
  for field in string.gmatch(call('HGET', book.hash, line) or '', '[^\n]+') do
    count = count + 1
    if count > SWEEP_MAX then
      left[#left + 1] = field
    else
      local held, last = field_of(book, field), nil
      if type(held) == 'table' and not held.numbers then
        expand(held)
        last = held[#held - 2]
      end
      if last and #held > FIRST and not ended(held, last, clock) then
        book.created[#book.created + 1] = {field, (last + 1) * held[SIZE] + held[KEEP]}
      elseif held then
        if book.at == 'q:' and held[2] > 0 then
          moves[#moves + 1] = {field, held[2], 0}
        end
        for i = FIRST, type(held) == 'table' and not held.numbers and #held or 0, 3 do
          moves[#moves + 1] = {name_of(field, held[i], held[i + 1]), held[i + 2], 0}
        end
        if type(held) == 'number' and held ~= 0 then moves[#moves + 1] = {field, held, 0} end
        drop[#drop + 1], book.changed[field] = book.at .. field, nil
      end
    end
  end
  if #left > 0 then
    set[#set + 1], set[#set + 2] = line, table.concat(left, '\n') .. '\n'
  else
    drop[#drop + 1] = line
    table.remove(days_of(book), 1)
    book.days_changed = true
  end
end

-- What is new is listed under the day that it ends by.
local function plan_days(book, set, drop)
  if #book.created == 0 and not book.days_changed then return end
  local lines, days = {}, days_of(book)
  for _, one in ipairs(book.created) do
    local day = math.ceil(one[2] / DAY_S)
    if not has(days, day) then
      days[#days + 1], book.days_changed = day, true
    end
    lines[day] = (lines[day] or '') .. one[1] .. '\n'
  end
  for day, more in pairs(lines) do
    local line = book.days_at .. ':' .. text(day)
    set[#set + 1] = line
    set[#set + 1] = (call('HGET', book.hash, line) or '') .. more
  end
  if not book.days_changed then return end
  table.sort(days)
  local words = {text(book.clock)}
  for i = 1, #days do words[i + 1] = text(days[i]) end
  set[#set + 1], set[#set + 2] = book.days_at, table.concat(words, ' ')
end
