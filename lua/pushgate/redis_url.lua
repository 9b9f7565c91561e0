-- Where Redis is, as an address: redis://[user[:password]@]host[:port][/db], rediss:// for TLS,
-- unix://[user[:password]@]/path[?db=n]; or a cluster, by some of its nodes:
-- redis+cluster://[user[:password]@]host:port,host:port, rediss+cluster:// for TLS.
--
-- Pure: no nginx phase, no I/O.

local _M = {}

local function decoded(text)
    return text and text:gsub("%%(%x%x)", function(hex)
        return string.char(tonumber(hex, 16))
    end)
end

-- A name needs a resolver that nginx does not have for it; this one never changes.
local function host_of(name)
    return name == "localhost" and "127.0.0.1" or name
end

-- Reads "host[:port],host[:port]...[/0]". Returns a list of {host, port}; nil for any other text.
local function nodes_of(place)
    local listed = place:match("^([^/]*)$") or place:match("^([^/]*)/0?$")
    if not listed then
        return nil
    end
    local nodes = {}
    for text in (listed .. ","):gmatch("([^,]*),") do
        local host, port = text:match("^([^:/]+):(%d+)$")
        host = host or text:match("^([^:/]+)$")
        if not host then
            return nil
        end
        nodes[#nodes + 1] = { host = host_of(host), port = tonumber(port or "6379") }
    end
    return nodes
end

-- Returns {host, port, tls, path, db, user, password, pool}, of a cluster {nodes, ...} without
-- host, port and path; or nil and one sentence.
function _M.parse(url)
    local scheme, rest = url:match("^([%a+]+)://(.*)$")
    local plain = scheme and scheme:match("^(rediss?)%+cluster$")
    local is_cluster = plain ~= nil
    scheme = plain or scheme
    if scheme ~= "redis" and scheme ~= "rediss" and scheme ~= "unix" then
        return nil, "write redis://host:port/db, rediss://..., unix:///path or "
            .. "redis+cluster://host:port,host:port"
    end
    local userinfo, place = rest:match("^([^/]*)@(.*)$")
    place = place or rest
    local user, password
    if userinfo then
        user, password = userinfo:match("^([^:]*):(.*)$")
        user, password = decoded(user or userinfo), decoded(password)
    end
    local address = {
        user = user ~= "" and user or nil,
        password = password ~= "" and password or nil,
        tls = scheme == "rediss",
    }
    local db
    if is_cluster then
        address.nodes = nodes_of(place)
        if not address.nodes then
            return nil, "write redis+cluster://host:port,host:port"
        end
    elseif scheme == "unix" then
        address.path, db = place:match("^(/[^?]*)%?db=(%d+)$")
        address.path = address.path or place:match("^(/[^?]+)$")
        if not address.path then
            return nil, "write unix:///path or unix:///path?db=0"
        end
    else
        local host, tail = place:match("^([^:/]+)(.*)$")
        local port
        if host then
            port, db = tail:match("^:(%d+)/?(%d*)$")
            if not port then
                db = tail:match("^/?(%d*)$")
            end
        end
        if not host or not db then
            return nil, "write redis://host:port/db"
        end
        address.host = host_of(host)
        address.port = tonumber(port or "6379")
    end
    address.db = tonumber(db ~= "" and db or "0") or 0
    -- Connections are shared by what they are logged in to, not only by where they lead.
    address.pool = ":" .. address.db .. ":" .. (address.user or "")
    return address
end

-- The address fit for a log line.
function _M.without_password(url)
    return (url:gsub("//[^/]*@", "//...@"))
end

return _M
