-- The golden files that hold Lua and Python to the same answers.

local json = require("cjson")

local _M = {}

-- The list in tests/golden/<name>.json.
function _M.read(name)
    local file = assert(io.open("tests/golden/" .. name .. ".json", "rb"))
    local text = file:read("*a")
    file:close()
    return json.decode(text)
end

return _M
