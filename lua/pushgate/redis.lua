-- The only file that requires the Redis client: lua-resty-redis, `nginx.redis` on Debian,
-- `resty.redis` on OpenResty.
--
-- Of a cluster a connection is to the node that has the namespace (redis_cluster.lua). What a node
-- refuses because the slot is elsewhere is sent there.
--
-- Phases: access, content, timers. Every connection has timeouts. One that saw any trouble is
-- closed and never reused, because its next reader would get the late reply of the last one.
-- `ngx.null` never leaves this file: it is nil as a whole reply and false inside one.

local cluster = require("pushgate.redis_cluster")
local config = require("pushgate.config")
local scripts = require("pushgate.scripts")

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
-- While a slot is on its way some commands wait until it is there.
local MOST_REDIRECTIONS = 16
local TRY_AGAIN_SECONDS = 0.1

local _M = {}
local mt = { __index = _M }

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

-- Returns a client that is connected and logged in, `node` being {host, port} or {path}; or nil and
-- an error.
local function connect(address, node)
    local client, err = client_module:new()
    if not client then
        return nil, "could not open a socket: " .. err
    end
    client:set_timeout(CONNECT_MS)
    local ok
    if node.path then
        ok, err = client:connect("unix:" .. node.path,
            { pool = "pushgate:" .. node.path .. address.pool })
    else
        ok, err = client:connect(node.host, node.port,
            { pool = "pushgate:" .. node.host .. ":" .. node.port .. address.pool,
                ssl = address.tls, ssl_verify = address.tls })
    end
    if not ok then
        return nil, "could not connect to " .. (node.path or node.host .. ":" .. node.port) .. ": "
            .. err
    end
    client:set_timeout(REPLY_MS)
    ok, err = log_in(client, address)
    if not ok then
        client:close()
        return nil, err
    end
    return client
end

-- Asks a node where the namespace is. Returns that node; or nil and an error.
local function locate(address, asked)
    local client, err = connect(address, asked)
    if not client then
        return nil, err
    end
    client:set_timeout(CONNECT_MS)
    client:init_pipeline(2)
    client:cluster("keyslot", config.get().keys.log)
    client:cluster("slots")
    local replies
    replies, err = client:commit_pipeline()
    if not replies then
        client:close()
        return nil, "could not ask for the cluster's slots: " .. err
    end
    client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
    if type(replies[1]) ~= "number" then
        return nil, "could not ask for the cluster's slots: " .. tostring(replies[1][2])
    end
    return cluster.read_slots(without_null(replies[2]), replies[1], asked)
end

-- A client of the node that has the namespace, and the node; or nil and an error.
local function connect_to_cluster(address)
    local known, err = cluster.known(), nil
    if known then
        local client = connect(address, known)
        if client then
            return client, known
        end
        cluster.forget(known)
    end
    for _, asked in ipairs(cluster.candidates(address.nodes)) do
        local node, client
        node, err = locate(address, asked)
        if node then
            client, err = connect(address, node)
        end
        if client then
            cluster.remember(node)
            return client, node
        end
    end
    return nil, err
end

-- Opens a connection, a pooled one when there is one. Close it, or give it back with release().
-- Returns it; or nil and an error.
function _M.open()
    local address = config.get().redis
    local client, node
    if address.nodes then
        client, node = connect_to_cluster(address)
        if not client then
            return nil, node
        end
    else
        local err
        client, err = connect(address, address)
        if not client then
            return nil, err
        end
    end
    return setmetatable({ client = client, node = node, moves = 0 }, mt)
end

-- Ends a connection, after any trouble with it at the latest.
function _M:close()
    self.client:close()
    if self.node then
        cluster.forget(self.node)
    end
end

-- From now on the connection is to another node. Returns true; or nil and an error.
local function move_to(self, node)
    local client, err = connect(config.get().redis, node)
    if not client then
        return nil, err
    end
    self.client:close()
    self.client, self.node, self.moves = client, node, self.moves + 1
    cluster.remember(node)
    return true
end

-- Asks another node this once: it has what is asked for, and the slot not yet.
local function ask_once(node, send)
    local client, err = connect(config.get().redis, node)
    if not client then
        return nil, err
    end
    local ok
    ok, err = client:asking()
    if not ok then
        client:close()
        return nil, err
    end
    local reply
    reply, err = send(client)
    if reply == nil then
        client:close()
    else
        client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
    end
    return reply, err
end

-- Sends something, send(client), to whichever node has the slot. Returns what `send` returned last:
-- a reply; false and an error of Redis'; or nil and an error of the connection's.
local function send_where_it_belongs(self, send)
    local reply, err = send(self.client)
    for _ = 1, self.node and MOST_REDIRECTIONS or 0 do
        local kind, node
        if reply == false and err then
            kind, node = cluster.read_redirection(err, self.node)
        end
        if kind == "MOVED" then
            local ok
            ok, err = move_to(self, node)
            if not ok then
                return nil, err
            end
            reply, err = send(self.client)
        elseif kind == "ASK" then
            reply, err = ask_once(node, send)
        elseif kind then
            ngx.sleep(TRY_AGAIN_SECONDS * (0.5 + math.random() / 2))
            reply, err = send(self.client)
        else
            break
        end
    end
    return reply, err
end

-- Gives an untroubled connection back to the pool.
function _M:release()
    self.client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
end

-- Sends one command. Returns its reply; or nil and an error (nil alone for Redis' null).
function _M:call(name, ...)
    local arguments = { ... }
    local reply, err = send_where_it_belongs(self, function(client)
        return client[name](client, unpack(arguments))
    end)
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

-- Returns the replies to MULTI, to each command and to EXEC; or what send_where_it_belongs() says.
local function send_together(client, commands)
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
    for i = 2, #replies do
        local reply = replies[i]
        if type(reply) == "table" and reply[1] == false
            and cluster.read_redirection(tostring(reply[2]), { host = "" })
        then
            return false, reply[2]
        end
    end
    return replies
end

-- Runs commands, each a list, as one MULTI/EXEC. Returns their replies in order, an error reply as
-- {false, text}; or nil and an error.
function _M:together(commands)
    local replies, err = send_where_it_belongs(self, function(client)
        return send_together(client, commands)
    end)
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
    local script = scripts.get(name)
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
