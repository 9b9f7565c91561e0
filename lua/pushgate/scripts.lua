-- The Redis scripts, as pushgate/scripts/ has them: read once, called by their digests. Their texts
-- are kept in pushgate_state, for a reload that cannot read them.
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

-- The text of a script; at a reload that cannot read it, the one there was. Raises: what is wrong.
local function text_or_kept(name)
    local state, key = ngx.shared.pushgate_state, "script:" .. name
    local ok, text = pcall(script_text, name)
    if ok then
        state:safe_set(key, text)
        return text
    end
    local kept = state:get(key)
    if not kept then
        error(text, 0)
    end
    ngx.log(ngx.ERR, "the script ", name, " stays as it was: ", text)
    return kept
end

-- Reads the scripts once, in init_by_lua, so that a missing file stops the start.
function _M.load(names)
    for _, name in ipairs(names) do
        local text = text_or_kept(name)
        scripts[name] = { text = text, digest = hex(ngx.sha1_bin(text)) }
    end
end

-- The script of that name: {text, digest}.
function _M.get(name)
    return scripts[name]
end

return _M
