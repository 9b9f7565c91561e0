local cursor = require("pushgate.cursor")
local golden = require("golden")

describe("a cursor", function()
    for number, case in ipairs(golden.read("cursors")) do
        it("is read as the golden file says, case " .. number, function()
            local parsed = cursor.parse(case.text)
            if not case.valid then
                assert.is_nil(parsed, case.text)
                return
            end
            assert.same({ text = case.text, epoch = case.epoch, ms = case.ms, seq = case.seq },
                parsed)
            assert.equal(case.text, cursor.of_entry(case.epoch, cursor.entry_id(parsed)).text)
        end)
    end

    it("compares as numbers, not as text", function()
        assert.is_true(cursor.is_after(10, 0, 9, 99))
        assert.is_true(cursor.is_after(9, 10, 9, 9))
        assert.is_false(cursor.is_after(9, 9, 9, 9))
        assert.is_false(cursor.is_after(9, 99, 10, 0))
    end)
end)
