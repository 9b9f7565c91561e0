-- POST /pub?id=<channel>[/<channel>...]: one frame straight into the log. DELETE: the channels'
-- histories are emptied, and their subscribers told.
--
-- Phase: content of locations/publish.conf, on private listeners only. The body is the frame's
-- data, a JSON object. Headers: Event-Type (default "published"), Event-Id (idempotency key; made
-- when absent). The answer is push-stream's, in the format that the Accept header names.

local answer = require("pushgate.answer")
local channels = require("pushgate.channels")
local config = require("pushgate.config")
local engine = require("pushgate.engine")
local formats = require("pushgate.statistics_formats")
local frames = require("pushgate.sse.frames")
local redis = require("pushgate.redis")
local stream_info = require("pushgate.stream_info")

local field = stream_info.field

local state = ngx.shared.pushgate_state

-- Takes what a browser takes: no 0x1f, no NaN.
local json = require("cjson.safe").new()
json.decode_invalid_numbers(false)

-- As pushgate/log.py and pushgate/job_queue.py have them.
local HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH, WINDOW_SECONDS = 1000, 3600, 100000, 3600
local MOST_BYTES = 64 * 1024

-- The module's own sentences, which its users may look for.
local NO_CHANNEL = "No channel id provided."
local EMPTY = "Empty post requests are not allowed."

local _M = {}

-- The body as one string; or nil and what is wrong with it.
local function read_body()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not body and ngx.req.get_body_file() then
        return nil, 413, "the body is larger than 64 KB"
    end
    if not body or body == "" then
        return nil, 400, "the body is empty; send a JSON object"
    end
    if #body > MOST_BYTES then
        return nil, 413, "the body is larger than 64 KB"
    end
    return body
end

-- The body as one line of JSON with the fields every frame has; or nil and what is wrong with it.
local function data_line(body, event_id, names)
    if not body:find("^%s*{") or not ngx.re.find(body, "^", "u") then
        return nil, "the body is not a JSON object in UTF-8"
    end
    local line, why = frames.one_line(body)
    if not line then
        return nil, "the body is not JSON: " .. why
    end
    local object
    object, why = json.decode(line)
    if type(object) ~= "table" then
        return nil, "the body is not JSON: " .. tostring(why)
    end
    local fields = {}
    local function add(name, value)
        if object[name] == nil then
            fields[#fields + 1] = '"' .. name .. '":' .. value
        end
    end
    add("event_id", '"' .. event_id .. '"')
    add("object", '""')
    add("version", "0")
    add("at", '"' .. os.date("!%Y-%m-%dT%H:%M:%SZ") .. '"')
    -- A name holds nothing that JSON would escape.
    add("channels", '["' .. table.concat(names, '","') .. '"]')
    local rest = line:match("^%s*{%s*(.*)$")
    if #fields == 0 then
        return "{" .. rest
    end
    return "{" .. table.concat(fields, ",") .. (rest:sub(1, 1) == "}" and "" or ",") .. rest
end

local TYPE_RULE = "use a-z first, then a-z 0-9 _ . -, at most 64; reset, error, open and gone are "
    .. "the stream's own"
local ID_RULE = "use a letter or digit first, then letters, digits, _ . : -, at most 128"

-- A header that must pass `check`, which `rule` says in words; the default when it is absent; or
-- nil and a sentence. Several of a name nginx joins with a comma, which passes no check.
local function header(name, check, rule, default)
    local value = ngx.var["http_" .. name:lower():gsub("-", "_")]
    if value == nil then
        return default
    end
    if not check(value) then
        return nil, "header " .. name .. ": " .. rule
    end
    return value
end

local function new_event_id()
    return ("%s%012x%08x"):format("pub", ngx.now() * 1000, math.random(0, 0xffffffff))
end

-- The address has been decoded as a whole.
local function as_it_is(text)
    return text
end

-- The channels asked for; or nil and a sentence.
local function channels_asked()
    local id = ngx.req.get_uri_args().id
    if type(id) == "table" then
        return nil, "several id in the address; name several channels as /pub?id=a/b"
    end
    if type(id) ~= "string" or id == "" then
        return nil, "name the channel: /pub?id=<channel>"
    end
    local requested, sentence = channels.parse_path(id, as_it_is)
    if not requested then
        return nil, sentence
    end
    local names = {}
    for i, channel in ipairs(requested) do
        if channel.backlog > 0 then
            return nil, "channel " .. channels.shown(channel.name) .. ": .b<N> is for subscribers"
        end
        names[i] = channel.name
    end
    return names
end

-- How many subscribers a channel has on this gateway.
local function subscribers_of(name)
    local status, found = engine.get().statistics(name)
    return status == 200 and found.subscribers or 0
end

-- Runs a script on the channels, with further keys before theirs, and asks what their histories
-- hold then. Returns push-stream's answer as statistics_formats.lua takes it; or nil and
-- an error.
local function run(script, names, key_names, arguments)
    local keys = config.get().keys
    for _, name in ipairs(names) do
        key_names[#key_names + 1] = keys:channel(name)
    end
    local infos, err = redis.with(function(connection)
        local id, why = connection:run(script, key_names, arguments)
        if not id then
            return nil, why
        end
        local commands = {}
        for i, name in ipairs(names) do
            commands[i] = { "xinfo", "STREAM", keys:channel(name) }
        end
        return connection:together(commands)
    end)
    if not infos then
        return nil, err
    end
    local found = {}
    for i, name in ipairs(names) do
        found[i] = { channel = name, published_messages = field(infos[i], "entries-added"),
            stored_messages = field(infos[i], "length"), subscribers = subscribers_of(name) }
    end
    if #found == 1 then
        return found[1]
    end
    return { hostname = ngx.var.hostname, time = os.date("%Y-%m-%dT%H:%M:%S"), channels = #found,
        wildcard_channels = 0, uptime = math.floor(ngx.now() - state:get("started_at")),
        infos = found }
end

local function append(names, event_id, frame)
    local keys = config.get().keys
    return run("publish", names, { keys.log, keys.ledger, keys:put(event_id) },
        { table.concat(names, " "), frame, HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH,
            WINDOW_SECONDS })
end

local function delete(names, event_id)
    local keys = config.get().keys
    return run("delete_channel", names, { keys.log, keys.ledger, keys:put(event_id) },
        { table.concat(names, " "), HISTORY_SECONDS, LOG_LENGTH, WINDOW_SECONDS })
end

local function answer_written(found, err)
    if not found then
        ngx.log(ngx.ERR, "could not write to the log: ", err)
        return answer.explained(503, "the log is not reachable now; the same Event-Id may be "
            .. "sent again")
    end
    local format, content_type = formats.chosen(ngx.req.get_headers()["Accept"])
    return answer.text(200, content_type, formats.text(format, found))
end

function _M.run()
    local method = ngx.req.get_method()
    if method ~= "POST" and method ~= "DELETE" then
        return answer.method("POST, DELETE")
    end
    local names, sentence = channels_asked()
    if not names then
        return answer.explained(400, sentence, not ngx.var.arg_id and NO_CHANNEL or nil)
    end
    local event_type, event_id
    event_type, sentence = header("Event-Type", frames.is_event_type, TYPE_RULE, "published")
    if not event_type then
        return answer.explained(400, sentence)
    end
    event_id, sentence = header("Event-Id", frames.is_event_id, ID_RULE, new_event_id())
    if not event_id then
        return answer.explained(400, sentence)
    end
    if method == "DELETE" then
        return answer_written(delete(names, event_id))
    end
    local body, status
    body, status, sentence = read_body()
    if not body then
        return answer.explained(status, sentence, status == 400 and EMPTY or nil)
    end
    local line
    line, sentence = data_line(body, event_id, names)
    if not line then
        return answer.explained(400, sentence)
    end
    return answer_written(append(names, event_id, frames.of_event(event_type, line)))
end

return _M
