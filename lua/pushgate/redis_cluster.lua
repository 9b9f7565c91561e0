-- Which node of a Redis Cluster has the namespace: all its keys are in one slot.
--
-- The node is remembered for all workers in the shared dict pushgate_state, and forgotten with the
-- first trouble; then any node that answers says where the slot is. Nodes are those the URL names
-- and those the cluster named when it was asked last, so that it is found again when all nodes of
-- the URL are gone but others live.
--
-- Phases: as redis.lua, which alone calls it. Knows no Redis client.

local state = ngx.shared.pushgate_state

local concat = table.concat
local match = string.match
local tonumber = tonumber

-- A node as text. An IPv6 address is written as nginx wants it.
local function text_of(host, port)
    if host:find(":", 1, true) and host:sub(1, 1) ~= "[" then
        host = "[" .. host .. "]"
    end
    return host .. ":" .. port
end

local function node_of(text)
    local host, port = match(text, "^(.*):(%d+)$")
    return { host = host, port = tonumber(port) }
end

local _M = {}

-- The node remembered; nil when there is none.
function _M.known()
    local text = state:get("redis:node")
    return text and node_of(text)
end

function _M.remember(node)
    state:set("redis:node", text_of(node.host, node.port))
end

-- There was trouble with a node: unless another one is remembered by now, none is.
function _M.forget(node)
    if state:get("redis:node") == text_of(node.host, node.port) then
        state:delete("redis:node")
    end
end

-- Nodes to ask where the slot is, another one first each time. `named` are those of the URL.
function _M.candidates(named)
    local texts, seen = {}, {}
    local function add(text)
        if not seen[text] then
            seen[text] = true
            texts[#texts + 1] = text
        end
    end
    for _, node in ipairs(named) do
        add(text_of(node.host, node.port))
    end
    for text in (state:get("redis:nodes") or ""):gmatch("%S+") do
        add(text)
    end
    local turn = state:incr("redis:turn", 1, 0)
    local nodes = {}
    for i = 1, #texts do
        nodes[i] = node_of(texts[(turn + i) % #texts + 1])
    end
    return nodes
end

-- Reads what CLUSTER SLOTS answered to `asked`, a node, and notes all nodes it names.
-- Returns the node that has the slot; or nil and an error.
function _M.read_slots(slots, slot, asked)
    local found, texts = nil, {}
    for _, range in ipairs(type(slots) == "table" and slots or {}) do
        for i = 3, #range do
            local host = range[i][1]
            -- A node that does not know its own name leaves it out.
            local node = { host = type(host) == "string" and host ~= "" and host or asked.host,
                port = range[i][2] }
            texts[#texts + 1] = text_of(node.host, node.port)
            if i == 3 and slot >= range[1] and slot <= range[2] then
                found = node_of(text_of(node.host, node.port))
            end
        end
    end
    if not found then
        return nil, "no node of the cluster has the namespace's slot " .. slot
    end
    state:set("redis:nodes", concat(texts, " "))
    return found
end

-- Reads an error reply. Returns "MOVED" or "ASK" and a node; "TRYAGAIN" (a part of the keys has
-- moved); or nil for any other error. A command that was answered so has done nothing.
function _M.read_redirection(err, asked)
    local kind, host, port = match(err, "^(%u+) %d+ (.*):(%d+)$")
    if kind == "MOVED" or kind == "ASK" then
        return kind, node_of(text_of(host ~= "" and host or asked.host, port))
    end
    return match(err, "^(TRYAGAIN)")
end

return _M
