-- What of Wireshark's API labkit.lua uses, written down instead of shown: `lua recorder.lua LABKIT.LUA COMMENT...`
local function named(kind)
  return function(name) return { kind = kind, name = name } end
end
local made
ProtoField = { string = named("string"), int64 = named("int64") }
ProtoExpert = { new = named("expert") }
Int64 = { new = function(value) return ("%d"):format(value) end }
Field = { new = function() return function() return table.unpack(made) end end }
expert = { severity = { ERROR = 1, WARN = 2, NOTE = 3 }, group = { PROTOCOL = 1 } }
local dissect
function Proto() return setmetatable({}, { __newindex = function(self, key, value) rawset(self, key, value) if key == "dissector" then dissect = value end end }) end
function register_postdissector(proto) assert(proto.dissector and proto.fields and proto.experts) end
dofile(arg[1])
made = {}
for at = 2, #arg do made[#made + 1] = { value = arg[at] } end
local branch = {}
function branch:add(field, value) print(field.name .. "\t" .. tostring(value)) end
function branch:add_proto_expert_info(info, text) print(info.name .. "\t" .. text) end
local tree = {}
function tree:add(_, text) print("tree\t" .. text) return branch end
dissect(nil, nil, tree)
