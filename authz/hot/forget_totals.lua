--[[
forget_totals: these totals, of days before that one, are dropped. Who calls looks for them: the hash
may have thousands of fields, and nothing else runs while a function reads them all.

keys   1 control   2 journal
args   1 run id   2 list: the first day that is kept, fields
reply  shard's key, forgotten, how many;  or cold | full
]]
local function forget_totals(keys, args)
  local first, fields = unpack(unpacked(args[2]))
  first = whole(first)
  if #keys ~= 2 or #fields < 1 or #fields > 1000 then error('bad_args: out of range') end
  for i = 1, #fields do
    local day = string.match(fields[i], '^t:[^/]+/(%d+)/')
    if not day or whole(day) >= first then error('bad_args: a day that is kept') end
  end
  local gate, shut = enter(keys[1], keys[2], args[1], 0)
  if not gate then return {keys[1], shut} end

  -- From here on only writes, and none may fail.
  call('HSET', keys[1], 'totals_from', text(first))
  return {keys[1], 'forgotten', call('HDEL', keys[1], unpack(fields))}
end

redis.register_function({function_name = 'authz_forget_totals', callback = forget_totals,
  flags = {'allow-oom'}})
