-- The only file that requires the Redis client: lua-resty-redis, `nginx.redis` on Debian,
-- `resty.redis` on OpenResty.
--
-- Phases: access, content, timers. Every connection has timeouts. One that saw any trouble is
-- closed and never reused, because its next reader would get the late reply of the last one.
-- `ngx.null` never leaves this file: it is nil as a whole reply and false inside one.

local config = require("pushgate.config")

local found, client_module = pcall(require, "nginx.redis")
if not found then
    client_module = require("resty.redis")
end

local null = ngx.null
local type = type

local CONNECT_MS = 1000
local REPLY_MS = 2000
local POOL_SIZE = 64
local POOL_IDLE_MS = 30000

local _M = {}
local mt = { __index = _M }

local scripts = {}

local function without_null(reply)
    if reply == null then
        return false
    end
    if type(reply) == "table" then
        for i = 1, #reply do
            reply[i] = without_null(reply[i])
        end
    end
    return reply
end

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
function _M.load_scripts(names)
    for _, name in ipairs(names) do
        local text = script_text(name)
        scripts[name] = { text = text, digest = hex(ngx.sha1_bin(text)) }
    end
end

local function log_in(client, address)
    if client:get_reused_times() > 0 then
        return true
    end
    local ok, err
    if address.password then
        if address.user then
            ok, err = client:auth(address.user, address.password)
        else
            ok, err = client:auth(address.password)
        end
        if not ok then
            return nil, "could not log in: " .. err
        end
    end
    if address.db ~= 0 then
        ok, err = client:select(address.db)
        if not ok then
            return nil, "could not select database " .. address.db .. ": " .. err
        end
    end
    return true
end

-- Opens a connection, a pooled one when there is one. Close it, or give it back with release().
-- Returns it; or nil and an error.
function _M.open()
    local address = config.get().redis
    local client, err = client_module:new()
    if not client then
        return nil, "could not open a socket: " .. err
    end
    client:set_timeout(CONNECT_MS)
    local ok
    if address.path then
        ok, err = client:connect("unix:" .. address.path, { pool = address.pool })
    else
        ok, err = client:connect(address.host, address.port,
            { pool = address.pool, ssl = address.tls, ssl_verify = address.tls })
    end
    if not ok then
        return nil, "could not connect: " .. err
    end
    client:set_timeout(REPLY_MS)
    ok, err = log_in(client, address)
    if not ok then
        client:close()
        return nil, err
    end
    return setmetatable({ client = client }, mt)
end

function _M:close()
    self.client:close()
end

-- Gives an untroubled connection back to the pool.
function _M:release()
    self.client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
end

-- Sends one command. Returns its reply; or nil and an error (nil alone for Redis' null).
function _M:call(name, ...)
    local reply, err = self.client[name](self.client, ...)
    if not reply then
        return nil, err or "no reply"
    end
    if reply == null then
        return nil
    end
    return without_null(reply)
end

-- Reads new entries of streams, of keys[i] behind after[i], until there is one or `block_ms` have
-- passed; `count` of each at most.
-- Returns a table, key -> list of {id, {field, value, ...}}, empty when there are none; or nil and
-- an error.
function _M:read_streams(keys, after, count, block_ms)
    local parameters, entries = {}, {}
    for i = 1, #keys do
        parameters[i], parameters[#keys + i] = keys[i], after[i]
        entries[keys[i]] = {}
    end
    self.client:set_timeout(block_ms + REPLY_MS)
    local reply, err = self:call("xread", "COUNT", count, "BLOCK", block_ms, "STREAMS",
        unpack(parameters))
    self.client:set_timeout(REPLY_MS)
    if err then
        return nil, err
    end
    for _, stream in ipairs(reply or {}) do
        if type(stream) ~= "table" or not entries[stream[1]] or type(stream[2]) ~= "table" then
            return nil, "the reply is not of the streams that were asked for"
        end
        entries[stream[1]] = stream[2]
    end
    return entries
end

-- Runs commands, each a list, as one MULTI/EXEC. Returns their replies in order, an error reply as
-- {false, text}; or nil and an error.
function _M:together(commands)
    local client = self.client
    client:init_pipeline(#commands + 2)
    client:multi()
    for i = 1, #commands do
        local command = commands[i]
        client[command[1]](client, unpack(command, 2))
    end
    client:exec()
    local replies, err = client:commit_pipeline()
    if not replies then
        return nil, err
    end
    local results = replies[#commands + 2]
    if type(results) ~= "table" or results[1] == false or #results ~= #commands then
        local reason = type(results) == "table" and results[2]
        return nil, "the transaction failed: " .. tostring(reason or results)
    end
    return without_null(results)
end

-- Runs a script by its digest, sending it whole when Redis does not know it.
function _M:run(name, key_names, arguments)
    local script = scripts[name]
    local parameters = { #key_names }
    for i = 1, #key_names do
        parameters[#parameters + 1] = key_names[i]
    end
    for i = 1, #arguments do
        parameters[#parameters + 1] = arguments[i]
    end
    local reply, err = self:call("evalsha", script.digest, unpack(parameters))
    if err and err:find("^NOSCRIPT") then
        reply, err = self:call("eval", script.text, unpack(parameters))
    end
    if not reply then
        return nil, err or "the script answered nothing"
    end
    return reply
end

-- Opens a connection, calls work(connection) and gives it back; closes it when work returned nil.
-- Returns what work returned; or nil and an error.
function _M.with(work)
    local connection, err = _M.open()
    if not connection then
        return nil, err
    end
    local done, result, why = pcall(work, connection)
    if not done then
        connection:close()
        return nil, "could not use the reply: " .. tostring(result)
    end
    if result == nil then
        connection:close()
        return nil, why
    end
    connection:release()
    return result
end

return _M
