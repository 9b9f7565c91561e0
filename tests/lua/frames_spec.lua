local frames = require("pushgate.sse.frames")

describe("one line of JSON", function()
    it("is what it was without line ends between tokens", function()
        assert.equal('{ "a" : [1, 2] }', frames.one_line('{\n"a"\t:\r[1,\n2] }'))
    end)

    it("keeps strings as they are, escapes too", function()
        for _, text in ipairs({ '{"a":"\\n"}', '{"a":"\\\\"}', '{"a":"\\""}', '{"\\"{":1}' }) do
            assert.equal(text, frames.one_line(text))
        end
    end)

    it("is refused when a string holds a raw control character", function()
        for _, text in ipairs({ '{"a":"\n"}', '{"a":"\\\\\r"}', '{"\0":1}' }) do
            assert.is_nil((frames.one_line(text)))
        end
    end)

    it("is refused when a number has a dot that JSON does not know", function()
        for _, text in ipairs({ '{"a":1.}', '{"a":-.5}', '{"a":1.e5}', '{"a":0.,"b":1}' }) do
            assert.is_nil((frames.one_line(text)))
        end
        for _, text in ipairs({ '{"a":1.5}', '{"a":"1."}', '{"a.":[-0.5e-7]}', '{"\\".":1}' }) do
            assert.equal(text, frames.one_line(text))
        end
    end)

    it("never holds a line end, whatever comes in", function()
        math.randomseed(7)
        local bytes = { "\n", "\r", "\0", '"', "\\", "a", " ", "{", "}" }
        for _ = 1, 20000 do
            local parts = {}
            for i = 1, math.random(1, 12) do
                parts[i] = bytes[math.random(#bytes)]
            end
            local line = frames.one_line(table.concat(parts))
            -- An escaped line end is left for the JSON reader, which refuses it.
            if line then
                assert.is_nil(line:gsub("\\.", ""):find("[\n\r%z]"))
            end
        end
    end)
end)

describe("a frame from the log", function()
    it("is one block of an event and its data", function()
        assert.is_true(frames.is_frame('event: a\ndata: {"b":1}\n\n'))
    end)

    it("may hold any text", function()
        for _, text in ipairs({ "\194\128", "\223\191", "\224\160\128", "\237\159\191",
            "\239\191\191", "\240\144\128\128", "\244\143\191\191", "aé€😀z" }) do
            assert.is_true(frames.is_frame("event: a\ndata: " .. text .. "\n\n"))
        end
    end)

    it("has an end", function()
        local most = 1024 * 1024 - #"event: a\ndata: \n\n"
        assert.is_true(frames.is_frame("event: a\ndata: " .. ("x"):rep(most) .. "\n\n"))
        assert.is_false(frames.is_frame("event: a\ndata: " .. ("x"):rep(most + 1) .. "\n\n"))
    end)

    for _, text in ipairs({
        "", "event: a\n\n", "data: {}\n\n", "event: a\ndata: {}\n", "event: a\ndata: {}\n\n\n",
        "event: a\ndata: {}\n\nevent: b\ndata: {}\n\n", "event: a\r\ndata: {}\n\n",
        "event: a\nid: 1\ndata: {}\n\n", "event: a\nretry: 1\ndata: {}\n\n",
        "event: a\ndata: {\0}\n\n", "id: 1\nevent: a\ndata: {}\n\n",
        "event: a\nid\ndata: {}\n\n", "event: a\ndata: {}\nid\n\n",
        "event: a\ndata: {}\nevent: b\n\n", "event: a\ndata: {}\n: x\n\n",
        "event: \ndata: {}\n\n", "event: a\ndata: {}\n\0",
        "event: a\ndata: {}\nretry\n\n", "event: a\ndata: {}\r\n\r\n",
        "event: reset\ndata: {}\n\n", "event: error\ndata: {}\n\n",
        "event: a\nevent: reset\ndata: {}\n\n", "event: a\nevent\ndata: {}\n\n",
        "event: a\ndata: \128\n\n", "event: a\ndata: \192\175\n\n", "event: a\ndata: \195\n\n",
        "event: a\ndata: \224\159\191\n\n", "event: a\ndata: \237\160\128\n\n",
        "event: a\ndata: \240\143\191\191\n\n", "event: a\ndata: \244\144\128\128\n\n",
        "event: a\ndata: \255\n\n", "event: a\ndata: \226\130\n\n",
    }) do
        it("is refused as " .. ("%q"):format(text), function()
            assert.is_false(frames.is_frame(text))
        end)
    end
end)

describe("what a request may put into a field", function()
    it("is no type that the stream has itself", function()
        for _, name in ipairs({ "reset", "error", "open", "gone" }) do
            assert.is_false(frames.is_event_type(name))
            assert.is_true(frames.is_event_type("comment." .. name))
        end
    end)

    it("holds nothing that could end the line", function()
        for byte = 0, 255 do
            local char = string.char(byte)
            if not char:find("[%w_.:-]") then
                assert.is_false(frames.is_event_type("a" .. char .. "b"))
                assert.is_false(frames.is_event_id("a" .. char .. "b"))
            end
        end
    end)
end)
