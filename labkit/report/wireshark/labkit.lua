-- Makes fields and expert items of the comments that `labkit verify --annotate` writes on packets.
-- Works in Lua 5.2 (Wireshark 4.0 and 4.2) and Lua 5.4 (since Wireshark 4.4).

local labkit = Proto("labkit", "labkit findings")

local fields = {
  severity = ProtoField.string("labkit.severity", "Severity"),
  rule = ProtoField.string("labkit.rule", "Rule"),
  field = ProtoField.string("labkit.field", "Field"),
  actual = ProtoField.int64("labkit.actual", "Actual"),
  expected = ProtoField.int64("labkit.expected", "Expected"),
  actual_raw = ProtoField.int64("labkit.actual_raw", "Actual (raw)"),
  expected_raw = ProtoField.int64("labkit.expected_raw", "Expected (raw)"),
  text = ProtoField.string("labkit.text", "Finding"),
}
labkit.fields = fields

local levels = { error = expert.severity.ERROR, warning = expert.severity.WARN, note = expert.severity.NOTE }
local experts = {}
for name, level in pairs(levels) do
  experts[name] = ProtoExpert.new("labkit.expert." .. name, "labkit " .. name, expert.group.PROTOCOL, level)
end
labkit.experts = experts

-- Wireshark 4.6 gives each line of a comment by itself, too. A comment of labkit has several lines.
local comments = Field.new("frame.comment")

-- Adds the numbers of a line such as " ack=121 expected=120"; a value that is not known is not there.
local function add_numbers(branch, line, actual, expected)
  for name, digits in line:gmatch(" ([%w_.]+)=(%-?%d+)") do
    if name == "expected" then
      branch:add(expected, Int64.new(tonumber(digits)))
    else
      branch:add(actual, Int64.new(tonumber(digits)))
    end
  end
end

function labkit.dissector(_, _, tree)
  for _, each in ipairs({ comments() }) do
    local severity, rule, numbers, rest = each.value:match("^labkit (%l+) (%S+)([^\n]*)\n(.*)")
    if experts[severity] then
      local branch = tree:add(labkit, "labkit " .. severity .. " " .. rule .. numbers)
      branch:add(fields.severity, severity)
      branch:add(fields.rule, rule)
      local name = numbers:match("^ ([%w_.]+)=")
      if name and name ~= "expected" then
        branch:add(fields.field, name)
      end
      add_numbers(branch, numbers, fields.actual, fields.expected)
      add_numbers(branch, rest:match("\nraw:([^\n]*)") or numbers, fields.actual_raw, fields.expected_raw)
      branch:add(fields.text, (rest:gsub("\nraw:[^\n]*", ""):gsub("\n", "; ")))
      branch:add_proto_expert_info(experts[severity], rule .. numbers)
    end
  end
end

register_postdissector(labkit)
