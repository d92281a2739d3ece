--[[
How acts find one another: references, the records that they name, and tombstones taken in.
]]

-- A reference is a set of the ids that it names, and *, once there were more than these: then it
-- names none. A merchant who gives all of a card's purchases one RRN must not make it grow.
local NAMED_MAX = 8

local function split(named)
  local ids = {}
  for id in string.gmatch(named, '%S+') do ids[#ids + 1] = id end
  return ids
end

-- The records that a reference names, by id; `known` remembers those already read.
local function records_of(account, named, known)
  local found = {}
  if named == SEVERAL then return found end
  for _, id in ipairs(split(named)) do
    if known[id] == nil then
      local packed = call('HGET', account, 'a:' .. id)
      known[id] = packed and unpacked(packed) or false
    end
    if known[id] then found[#found + 1] = id end
  end
  return found
end

-- The authorization that an act means by a reference. A full DE 90 names just one. A weaker one may
-- be shared: a terminal that got no answer asks once more under the same DE 37. Then it is one that
-- was sent before the act; that something is left of, where there is such a one; the latest of them.
local function authorization_of(account, named, known, sent_at, exact)
  local best = nil
  for _, id in ipairs(records_of(account, named, known)) do
    local r = known[id]
    if r[ORIGINAL] ~= '' and (exact or r[SENT] <= sent_at) then
      local b = best and known[best]
      local left, best_left = r[HOLDS] + r[POSTED] > 0, b and b[HOLDS] + b[POSTED] > 0
      if not b or (left and not best_left) or (left == best_left and
        (r[SENT] > b[SENT] or (r[SENT] == b[SENT] and id > best))) then best = id end
    end
  end
  return best
end

local tombstones_of
do
-- Whether a tombstone's acts were sent after that moment.
local function came_after(r, sent_at)
  for i = 1, #r[ACTS] do if r[ACTS][i][SENT_AT] >= sent_at then return true end end
  return false
end

-- The tombstones under these references, in the order of their ids. `sent_at` is of the
-- authorization that they shall mean, -1 for none; those that are `exact` need no proof.
function tombstones_of(account, references, named, known, sent_at, exact)
  local found = {}
  for _, reference in ipairs(references) do
    if named[reference] then
      for _, id in ipairs(records_of(account, named[reference], known)) do
        if known[id][ORIGINAL] == '' and not has(found, id)
          and (sent_at < 0 or exact[reference] or came_after(known[id], sent_at)) then
          found[#found + 1] = id
        end
      end
    end
  end
  table.sort(found)
  return found
end
end

-- References kept per record; beyond them later ones are not found by.
local REFERENCES_MAX = 32

-- The references that name one authorization and no other, and one of its own.
local function exact_of(references, count, own)
  local exact = {[own] = true}
  for i = 1, count do exact[references[i]] = true end
  return exact
end

local function add_references(r, references)
  local mine = r[REFERENCES]
  for _, reference in ipairs(references) do
    if #mine < REFERENCES_MAX and not has(mine, reference) then mine[#mine + 1] = reference end
  end
end

-- Those that held something, and are no more.
local function ended_of(gone, known)
  local ended = {}
  for _, id in ipairs(gone) do if known[id][HOLDS] > 0 then ended[#ended + 1] = id end end
  return ended
end

-- Whether a record may take that tombstone in: money of one currency and one direction.
local function fits(r, other)
  if r[CURRENCY] == '' or other[CURRENCY] == '' then return true end
  return r[CURRENCY] == other[CURRENCY] and r[SIGN] == other[SIGN]
end

local function add_beside(r, touched)
  for _, known in ipairs(r[BESIDE]) do if known[1] == touched[1] then return end end
  r[BESIDE][#r[BESIDE] + 1] = touched
end

local absorb
do
-- Whether all acts of a tombstone find room in a record. One that does not fit stays what it is:
-- what was taken in must never be lost.
local function has_room(r, other)
  local news = 0
  for _, act in ipairs(other[ACTS]) do
    local there = false
    for _, mine in ipairs(r[ACTS]) do there = there or mine[ACT_ID] == act[ACT_ID] end
    if not there then news = news + 1 end
  end
  return #r[ACTS] + news <= ACTS_MAX.full
end

-- Takes tombstones into a record: their acts, references and counters become its own, and they go.
-- Returns the ids that went.
function absorb(r, id, tombstones, known, base, drop)
  local gone = {}
  for _, other in ipairs(tombstones) do
    local o = known[other]
    if o ~= r and fits(r, o) and has_room(r, o) then
      if other ~= id then
        gone[#gone + 1] = other
        drop[#drop + 1] = 'a:' .. other
      end
      add_to(base, o)
      add_references(r, o[REFERENCES])
      for _, act in ipairs(o[ACTS]) do add_act(r[ACTS], act, ACTS_MAX.full) end
      for _, touched in ipairs(o[BESIDE]) do add_beside(r, touched) end
      if r[CURRENCY] == '' then r[CURRENCY], r[SIGN] = o[CURRENCY], o[SIGN] end
      if o[EXPIRES] > r[EXPIRES] then r[EXPIRES] = o[EXPIRES] end
    end
  end
  return gone
end
end

-- All of a record's references name it from now on, and those that were taken into it no more.
local function plan_references(account, r, id, gone, named, set)
  for _, reference in ipairs(r[REFERENCES]) do
    local before = named[reference]
    if before == nil then before = call('HGET', account, 'r:' .. reference) end
    if not before then
      set[#set + 1], set[#set + 2] = 'r:' .. reference, id
    elseif before ~= SEVERAL and before ~= id then
      local ids = {}
      for _, other in ipairs(split(before)) do
        if other ~= id and not has(gone, other) then ids[#ids + 1] = other end
      end
      ids[#ids + 1] = id
      table.sort(ids)
      set[#set + 1] = 'r:' .. reference
      set[#set + 1] = #ids > NAMED_MAX and SEVERAL or table.concat(ids, ' ')
    end
  end
end

-- A record's references name it no more.
local function drop_references(account, r, id, set, drop)
  for _, reference in ipairs(r[REFERENCES]) do
    local field = 'r:' .. reference
    local before = call('HGET', account, field)
    if before and before ~= SEVERAL then
      local ids = {}
      for _, other in ipairs(split(before)) do if other ~= id then ids[#ids + 1] = other end end
      if #ids == 0 then
        drop[#drop + 1] = field
      else
        set[#set + 1], set[#set + 2] = field, table.concat(ids, ' ')
      end
    end
  end
end
