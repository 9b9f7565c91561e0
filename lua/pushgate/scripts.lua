-- The Redis scripts, as pushgate/scripts/ has them: read once, called by their digests.
--
-- Phases: load() init, get() all.

local config = require("pushgate.config")

local _M = {}

local scripts = {}

local function hex(bytes)
    return (bytes:gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end))
end

-- The text of a script and of what it includes.
local function script_text(name)
    local path = config.get().scripts_dir .. "/" .. name .. ".lua"
    local file, why = io.open(path, "rb")
    if not file then
        error("could not open script: " .. why, 0)
    end
    local text = file:read("*a")
    file:close()
    return (("\n" .. text):gsub("\n%-%- include ([a-z_]+)%f[\n]", function(included)
        return "\n" .. script_text(included):gsub("\n+$", "")
    end):sub(2))
end

-- Reads the scripts once, in init_by_lua, so that a missing file stops the start.
function _M.load(names)
    for _, name in ipairs(names) do
        local text = script_text(name)
        scripts[name] = { text = text, digest = hex(ngx.sha1_bin(text)) }
    end
end

-- The script of that name: {text, digest}.
function _M.get(name)
    return scripts[name]
end

return _M
