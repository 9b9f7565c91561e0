-- Prometheus' text format, as this gateway needs it: families in a fixed order, one label at most.
--
-- Pure: no nginx phase, no I/O.

local concat = table.concat

local _M = {}
local mt = { __index = _M }

_M.CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

function _M.new()
    return setmetatable({ lines = {} }, mt)
end

local function shown(value)
    if value == math.huge then
        return "+Inf"
    end
    return ("%.15g"):format(value)
end

-- Begins a family. `kind` is counter, gauge or histogram.
function _M:family(name, kind, help)
    local lines = self.lines
    lines[#lines + 1] = "# HELP " .. name .. " " .. help:gsub("\\", "\\\\"):gsub("\n", "\\n")
    lines[#lines + 1] = "# TYPE " .. name .. " " .. kind
end

-- One sample; `label` and its value may be absent.
function _M:sample(name, value, label, label_value)
    if label then
        label_value = label_value:gsub('[\\"]', "\\%0"):gsub("\n", "\\n")
        name = name .. "{" .. label .. '="' .. label_value .. '"}'
    end
    self.lines[#self.lines + 1] = name .. " " .. shown(value)
end

-- A family of one sample; left out when there is no value.
function _M:single(name, kind, help, value)
    if value then
        self:family(name, kind, help)
        self:sample(name, value)
    end
end

-- `amounts` are of the buckets by themselves, in the order of their upper `bounds`; the last is
-- infinite.
function _M:histogram(name, help, bounds, amounts, sum)
    self:family(name, "histogram", help)
    local count = 0
    for i, bound in ipairs(bounds) do
        count = count + amounts[i]
        self:sample(name .. "_bucket", count, "le", shown(bound))
    end
    self:sample(name .. "_sum", sum)
    self:sample(name .. "_count", count)
end

function _M:text()
    return concat(self.lines, "\n") .. "\n"
end

return _M
