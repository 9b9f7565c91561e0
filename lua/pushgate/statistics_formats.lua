-- push-stream's statistics in its four formats: what an Accept header asks for, and the texts.
--
-- Pure: no nginx phase, no I/O. The shapes are the module's, byte for byte: its plain text says
-- `active_subscribers` where the others say `subscribers`, its XML calls a channel's name `name`.
-- Nothing that goes in needs escaping: numbers, names of channels, a hostname, a time.

local concat = table.concat

local _M = {}

local END = "\r\n"
local HEAD = { "hostname", "time", "channels", "wildcard_channels", "uptime" }
local SUMMARY = { "hostname", "time", "channels", "wildcard_channels", "published_messages",
    "stored_messages", "messages_in_trash", "channels_in_delete", "channels_in_trash",
    "subscribers", "uptime" }
local INFO = { "channel", "published_messages", "stored_messages", "subscribers" }
local WORKER = { "pid", "subscribers", "uptime" }

local XML = '<?xml version="1.0" encoding="UTF-8" ?>' .. END

-- The part behind the slash of a media type, and what is answered then.
local TYPES = {
    json = { "json", "application/json" },
    ["x-json"] = { "json", "text/x-json" },
    plain = { "plain", "text/plain" },
    xml = { "xml", "application/xml" },
    yaml = { "yaml", "application/yaml" },
    ["x-yaml"] = { "yaml", "text/x-yaml" },
}

local function value(name, known)
    if name == "hostname" or name == "time" or name == "channel" or name == "pid" then
        return tostring(known)
    end
    return ("%d"):format(tonumber(known) or 0)
end

-- `pattern` has two %s, for a field's name and its value.
local function fields(names, record, pattern, renamed)
    local list = {}
    for i, name in ipairs(names) do
        list[i] = pattern:format(renamed and renamed[name] or name, value(name, record[name]))
    end
    return list
end

local function each(records, make)
    local list = {}
    for i, record in ipairs(records) do
        list[i] = make(record)
    end
    return list
end

local function json_fields(names, record)
    local list = {}
    for i, name in ipairs(names) do
        local shown = value(name, record[name])
        local is_text = not tonumber(shown) or name == "pid" or name == "channel"
            or name == "hostname"
        list[i] = '"' .. name .. '": ' .. (is_text and '"' .. shown .. '"' or shown)
    end
    return concat(list, ", ")
end

local function json_record(names)
    return function(record)
        return "{" .. json_fields(names, record) .. "}"
    end
end

local function json_list(records, names)
    if #records == 0 then
        return "[" .. END .. "]"
    end
    return "[" .. END .. concat(each(records, json_record(names)), "," .. END) .. END .. "]"
end

local json = {}

function json.one(info)
    return "{" .. json_fields(INFO, info) .. "}" .. END
end

function json.detailed(found)
    return "{" .. json_fields(HEAD, found) .. ', "infos": ' .. json_list(found.infos, INFO) .. "}"
        .. END
end

function json.summary(found)
    return "{" .. json_fields(SUMMARY, found) .. ', "by_worker": '
        .. json_list(found.by_worker, WORKER) .. "}" .. END
end

local plain = {}
local PLAIN_NAMES = { subscribers = "active_subscribers" }

local function plain_info(info)
    return concat(fields(INFO, info, "%s: %s", PLAIN_NAMES), END)
end

function plain.one(info)
    return plain_info(info) .. END
end

function plain.detailed(found)
    return concat(fields(HEAD, found, "%s: %s"), ", ") .. ", infos: " .. END
        .. concat(each(found.infos, plain_info), "," .. END) .. END
end

function plain.summary(found)
    return concat(fields(SUMMARY, found, "%s: %s"), END) .. END .. "by_worker:" .. END
        .. concat(each(found.by_worker, function(worker)
            return concat(fields(WORKER, worker, "  %s: %s"), END)
        end), "," .. END) .. END
end

local xml = {}
local XML_NAMES = { channel = "name" }

local function xml_fields(names, record)
    local list = {}
    for i, name in ipairs(names) do
        local tag = names == INFO and XML_NAMES[name] or name
        list[i] = "  <" .. tag .. ">" .. value(name, record[name]) .. "</" .. tag .. ">" .. END
    end
    return concat(list)
end

local function xml_record(tag, names)
    return function(record)
        return "<" .. tag .. ">" .. END .. xml_fields(names, record) .. "</" .. tag .. ">" .. END
    end
end

function xml.one(info)
    return XML .. xml_record("channel", INFO)(info) .. END
end

function xml.detailed(found)
    return XML .. "<root>" .. END .. xml_fields(HEAD, found) .. "  <infos>" .. END
        .. concat(each(found.infos, xml_record("channel", INFO))) .. "  </infos>" .. END
        .. "</root>" .. END
end

function xml.summary(found)
    return XML .. "<infos>" .. END .. xml_fields(SUMMARY, found) .. "  <by_worker>"
        .. concat(each(found.by_worker, xml_record("worker", WORKER))) .. "</by_worker>" .. END
        .. "</infos>" .. END
end

local yaml = {}

function yaml.one(info)
    return concat(fields(INFO, info, "  %s: %s" .. END))
end

function yaml.detailed(found)
    return concat(fields(HEAD, found, "%s: %s" .. END)) .. "infos: " .. END
        .. concat(each(found.infos, function(info)
            return " -" .. END .. yaml.one(info)
        end))
end

function yaml.summary(found)
    return concat(fields(SUMMARY, found, "  %s: %s" .. END)) .. "  by_worker:" .. END
        .. concat(each(found.by_worker, function(worker)
            return "   -" .. END .. concat(fields(WORKER, worker, "    %s: %s" .. END))
        end))
end

local FORMATS = { json = json, plain = plain, xml = xml, yaml = yaml }

-- What an Accept header asks for: the first type of it that is known, else JSON. Returns the
-- format, whose one(), detailed() and summary() make texts, and the content type.
function _M.chosen(accept)
    for kind in (type(accept) == "string" and accept or ""):gmatch("/([%w.+-]+)") do
        local known = TYPES[kind]
        if known then
            return FORMATS[known[1]], known[2]
        end
    end
    return FORMATS.json, TYPES.json[2]
end

-- The text for what the engine's statistics() found, or /pub made.
function _M.text(format, found)
    if found.by_worker then
        return format.summary(found)
    end
    if found.infos then
        return format.detailed(found)
    end
    return format.one(found)
end

return _M
