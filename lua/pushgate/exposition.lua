-- Prometheus' text format, as this gateway needs it: families in a fixed order.
--
-- Pure: no nginx phase, no I/O.

local concat = table.concat
local select = select

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

local function escaped(text)
    return (text:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"))
end

-- One sample. Behind its value come its labels, a name and a value each.
function _M:sample(name, value, ...)
    local labels = {}
    for i = 1, select("#", ...), 2 do
        local label, text = select(i, ...)
        labels[#labels + 1] = label .. '="' .. escaped(text) .. '"'
    end
    if #labels > 0 then
        name = name .. "{" .. concat(labels, ",") .. "}"
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

-- The samples of a histogram. `amounts` are of the buckets by themselves, in the order of their
-- upper `bounds`; the last is infinite. Labels as in sample().
function _M:buckets(name, bounds, amounts, sum, ...)
    local count = 0
    for i, bound in ipairs(bounds) do
        count = count + amounts[i]
        self:sample(name .. "_bucket", count, "le", shown(bound), ...)
    end
    self:sample(name .. "_sum", sum, ...)
    self:sample(name .. "_count", count, ...)
end

-- A family of one histogram.
function _M:histogram(name, help, bounds, amounts, sum)
    self:family(name, "histogram", help)
    self:buckets(name, bounds, amounts, sum)
end

function _M:text()
    return concat(self.lines, "\n") .. "\n"
end

return _M
