using System.Text;
using Apache.Arrow;
using Apache.Arrow.Ipc;
using Apache.Arrow.Types;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

/// <summary>A recipe's rules for rows before their shape is read, and the file formats of rows.</summary>
[Trait("kind", "unit")]
public sealed class ReadingRulesTests : IDisposable
{
    private const string End = "<|im_end|>";

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private FilesSpec Write(string name, string text) => ReadingScene.Source(folder.Write(name, text));

    private static string Learned(FilesSpec spec) => ReadingScene.Learned(ReadingScene.Preview(spec));

    [Fact]
    public void Columns_and_speakers_are_named_by_the_recipe()
    {
        var spec = Write("a.jsonl", """{"meta": {"ask": "q"}, "reply": "a"}""" + "\n") with
        {
            Fields = new Dictionary<string, FieldSpec> { ["prompt"] = new("meta.ask"), ["answer"] = new("reply") },
        };
        Assert.Equal($"a{End}", Learned(spec));
        var talk = Write("b.jsonl", """{"turns": [{"who": "Kunde", "says": "q"}, {"who": "Berater", "says": "a"}]}""" + "\n") with
        {
            Fields = new Dictionary<string, FieldSpec>
            {
                ["messages"] = new("turns"), ["messages.role"] = new("who"), ["messages.content"] = new("says"),
            },
            Roles = new Dictionary<string, string> { ["kunde"] = "user", ["Berater"] = "assistant" },
        };
        Assert.Equal($"a{End}", Learned(talk));
        var wrong =
            spec with { Fields = new Dictionary<string, FieldSpec> { ["prompt"] = new("meta.question"), ["answer"] = new("reply") } };
        Assert.Contains("'meta.question'", Assert.Throws<InputException>(() => Learned(wrong)).Message);
    }

    [Fact]
    public void Filters_see_the_columns_of_the_file_before_a_shape_is_made()
    {
        const string rows = """
            {"instruction": "q1", "output": "a1", "source": {"name": "good"}}
            {"instruction": "q2", "output": null, "source": {"name": "bad"}}
            {"instruction": "q3", "output": "a3", "source": {"name": "good"}}
            """;
        var spec = Write("a.jsonl", rows);
        Assert.Equal($"a1{End} / a3{End}", Learned(spec with { Where = [new FilterSpec("source.name", In: ["good"])] }));
        Assert.Equal($"a1{End} / a3{End}", Learned(spec with { Where = [new FilterSpec("output", MinimumLength: 1)] }));
        Assert.Contains("line 2: 'output' is null", ReadingScene.Fault(spec));
        Assert.Contains("there is no such field", ReadingScene.Fault(
            spec with { Where = [new FilterSpec("output", MinimumLength: 1), new FilterSpec("sauce", In: ["good"])] }));
        Assert.Contains("filter 1 (field 'instruction') removed 3 of 3", ReadingScene.Fault(
            spec with { Where = [new FilterSpec("instruction", Matches: "x")] }));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Parts_are_disjoint_equal_and_whole(int count)
    {
        var spec = new FilesSpec([folder.Write("a.txt", string.Concat(Enumerable.Range(0, 20).Select(i => $"line {i}\n")))]);
        var parts = Enumerable.Range(1, count)
            .Select(k => ReadingScene.Corpora(spec with { Part = $"{k} of {count}" }).Rows("d").Select(row => row.Key).ToList()).ToList();
        Assert.Equal(20, parts.SelectMany(part => part).Distinct().Count());
        Assert.All(parts, part => Assert.InRange(part.Count, 20 / count, 20 / count + 1));
        Assert.Contains(
            "cannot be cut into 30 parts",
            Assert.Throws<InputException>(() => ReadingScene.Corpora(spec with { Part = "1 of 30" }).Rows("d")).Message);
    }

    [Theory]
    [InlineData("0 of 2")]
    [InlineData("3 of 2")]
    [InlineData("half")]
    public void A_part_that_is_none_is_refused(string part) => Assert.Null(RowPart.Parse(part));

    [Theory]
    [InlineData("a.csv", "instruction,output\nq,a\n")]
    [InlineData("a.csv", "instruction;output\nq;a\n")]
    [InlineData("a.tsv", "instruction\toutput\nq\ta\n")]
    [InlineData("a.csv", "\"instruction\",\"output\"\n\"q, with; signs\",a\n")]
    [InlineData("a.json", "{\"instruction\": \"q\", \"output\": \"a\"}\n")]
    [InlineData("a.json", "{\n  \"instruction\": \"q\",\n  \"output\": \"a\"\n}\n")]
    [InlineData("a.ndjson", "\uFEFF{\"instruction\": \"q\", \"output\": \"a\"}\r\n")]
    public void Tables_and_rows_are_read_however_they_are_separated(string name, string text) =>
        Assert.Equal($"a{End}", Learned(Write(name, text)));

    [Theory]
    [InlineData("utf-16")]
    [InlineData("utf-16BE")]
    [InlineData("utf-32")]
    public void A_text_that_says_its_encoding_by_a_mark_is_read(string encoding)
    {
        var file = folder.At("a.jsonl");
        File.WriteAllText(file, "{\"instruction\": \"你好\", \"output\": \"ä\"}\n", Encoding.GetEncoding(encoding));
        Assert.Equal($"ä{End}", Learned(ReadingScene.Source(file)));
    }

    [Theory]
    [InlineData("gb18030", "今天天气很好", "GB18030", "今天天气很好")]
    [InlineData("windows-1252", "Der schöne Tag im Café", "WINDOWS-1252", "schöne")]
    public void A_text_of_another_encoding_is_shown_as_it_would_read_and_never_misread(
        string encoding, string text, string named, string shown)
    {
        Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);
        var file = folder.At("a.txt");
        File.WriteAllBytes(file, [.. "plain\n"u8, .. Encoding.GetEncoding(encoding).GetBytes(text + "\n")]);
        var fault = Assert.Throws<InputException>(() => ReadingScene.Corpora(new FilesSpec([file])).Rows("d")).Message;
        Assert.Contains("a.txt, line 2, byte", fault);
        Assert.Contains(shown, fault);
        Assert.Contains($"iconv -f {named} -t UTF-8", fault);
        Assert.DoesNotContain("latin1", fault);
    }

    [Fact]
    public void Wide_letters_without_a_mark_and_archives_are_named()
    {
        var wide = folder.At("wide.txt");
        File.WriteAllBytes(wide, new UnicodeEncoding(false, false).GetBytes("some words\nand more\n"));
        Assert.Contains(
            "UTF-16LE without a byte-order mark",
            Assert.Throws<InputException>(() => ReadingScene.Corpora(new FilesSpec([wide])).Rows("d")).Message);
        var zip = folder.At("a.jsonl");
        File.WriteAllBytes(zip, [.. "PK\u0003\u0004"u8, 0, 0, 0, 0]);
        Assert.Contains(
            "zip archive",
            Assert.Throws<InputException>(() => ReadingScene.Corpora(ReadingScene.Source(zip)).Rows("d")).Message);
    }

    [Fact]
    public void A_packed_file_that_is_cut_off_is_told()
    {
        var whole = File.ReadAllBytes(ReadingScene.At("43-13.jsonl.zst"));
        var file = folder.At("cut.jsonl.zst");
        File.WriteAllBytes(file, whole[..^8]);
        Assert.Contains(
            "cut.jsonl.zst",
            Assert.Throws<InputException>(() => ReadingScene.Corpora(ReadingScene.Source(file)).Rows("d")).Message);
    }

    [Fact]
    public void Saved_datasets_are_read_and_their_other_splits_told()
    {
        folder.Write("set/dataset_dict.json", """{"splits": ["train", "test"]}""");
        foreach (var split in new[] { "train", "test" })
        {
            folder.Write($"set/{split}/state.json", """{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}""");
            WriteArrow(folder.At("set", split, "data-00000-of-00001.arrow"), split);
        }
        var preview = ReadingScene.Preview(ReadingScene.Source(folder.At("set")));
        Assert.Equal($"train{End}", ReadingScene.Learned(preview));
        // It is not about rows.
        Assert.Contains(preview.Notes, note => note.StartsWith("split 'test' of", StringComparison.Ordinal)
            && !note.Contains("row", StringComparison.Ordinal));
        Assert.Equal($"test{End}", Learned(ReadingScene.Source(folder.At("set", "test"))));
        Assert.Equal($"test{End}", Learned(ReadingScene.Source(folder.At("set", "test", "data-00000-of-00001.arrow"))));
    }

    [Fact]
    public void A_column_that_cannot_be_read_is_told_with_all_its_rows()
    {
        var file = folder.At("rows.arrow");
        var schema = new Schema([new Field("text", StringType.Default, true), new Field("wait", IntervalType.YearMonth, true)], null);
        using (var stream = File.Create(file))
        using (var writer = new ArrowStreamWriter(stream, schema))
        {
            for (var batch = 0; batch < 2; batch++)
            {
                var texts = new StringArray.Builder().Append("a").Append("b").Append("c").Build();
                var wait = new Apache.Arrow.Scalars.YearMonthInterval(1);
                var waits = new YearMonthIntervalArray.Builder().Append(wait).Append(wait).Append(wait).Build();
                using var rows = new RecordBatch(schema, [texts, waits], 3);
                writer.WriteRecordBatch(rows);
            }
            writer.WriteEnd();
        }
        var note = Assert.Single(ReadingScene.Preview(ReadingScene.Source(file)).Notes);
        Assert.StartsWith("column 'wait' holds values of the type ", note, StringComparison.Ordinal);
        Assert.EndsWith("which cannot be read (6 rows)", note, StringComparison.Ordinal);
    }

    private static void WriteArrow(string file, string answer)
    {
        var message = new StructType([new Field("role", StringType.Default, true), new Field("content", StringType.Default, true)]);
        var roles = new StringArray.Builder().Append("user").Append("assistant").Build();
        var texts = new StringArray.Builder().Append("q").Append(answer).Build();
        var structs = new StructArray(message, 2, [roles, texts], ArrowBuffer.Empty);
        var offsets = new ArrowBuffer.Builder<int>().Append(0).Append(2).Build();
        var list = new ListArray(
            new ListType(new Field("item", message, true)),
            1,
            offsets,
            structs,
            ArrowBuffer.Empty);
        var schema = new Schema([new Field("messages", list.Data.DataType, true)], null);
        using var batch = new RecordBatch(schema, [list], 1);
        using var stream = File.Create(file);
        using var writer = new ArrowStreamWriter(stream, schema);
        writer.WriteRecordBatch(batch);
        writer.WriteEnd();
    }

    [Fact]
    public void Entries_of_published_descriptions_say_how_their_rows_are_read()
    {
        folder.Write("talk.json", """[{"chat": [{"who": "U", "what": "q"}, {"who": "A", "what": "a"}]}]""");
        folder.Write("pairs.json", """[{"question": "q", "chosen": "good", "rejected": "bad"}]""");
        folder.Write("kto.json", """[{"ask": "q", "say": "bad", "tag": false}, {"ask": "q", "say": "good", "tag": true}]""");
        folder.Write("text.json", """[{"body": "all of it", "output": "not this"}]""");
        folder.Write("dataset_info.json", """
            {"talk": {"file_name": "talk.json", "formatting": "sharegpt", "columns": {"messages": "chat"},
              "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "U", "assistant_tag": "A"}},
             "pairs": {"file_name": "pairs.json", "ranking": true,
               "columns": {"prompt": "question", "chosen": "chosen", "rejected": "rejected"}},
             "kto": {"file_name": "kto.json", "columns": {"prompt": "ask", "response": "say", "kto_tag": "tag"}},
             "text": {"file_name": "text.json", "columns": {"prompt": "body"}}}
            """);
        string Of(string name) => Learned(new FilesSpec([folder.At("dataset_info.json") + "#" + name]));
        Assert.Equal($"a{End}", Of("talk"));
        Assert.Equal($"good{End} / bad{End}", Of("pairs"));
        Assert.Equal($"bad{End} / good{End}", Of("kto"));
        Assert.StartsWith("all of it", Of("text"));
        Assert.Contains("no entry 'tlak'", Assert.Throws<InputException>(() => Of("tlak")).Message);
    }

    [Fact]
    public void An_entry_of_alpaca_s_form_reads_what_it_declares_and_a_folder_says_what_it_leaves_out()
    {
        folder.Write("rows/a.json", """
            [{"instruction": "q", "input": "i", "output": "a", "history": [["h", "g"]], "system": "s", "tools": "[]"}]
            """);
        folder.Write("rows/readme.md", "no rows");
        folder.Write("dataset_info.json", """
            {"plain": {"file_name": "rows"}, "few": {"file_name": "rows", "columns": {"prompt": "instruction", "response": "output"}},
             "all": {"file_name": "rows", "columns": {"prompt": "instruction", "query": "input", "response": "output",
               "history": "history", "system": "system"}}}
            """);
        DataPreview Of(string name) => ReadingScene.Preview(new FilesSpec([folder.At("dataset_info.json") + "#" + name]));
        string Read(string name) =>
            ReadingScene.All(Of(name)).Replace("<|im_start|>", "").Replace(End, "").ReplaceLineEndings(" ").Trim();
        Assert.Equal("user q i assistant a", Read("plain"));
        Assert.Equal("user q assistant a", Read("few"));
        Assert.Equal("system s user h assistant g user q i assistant a", Read("all"));
        var notes = Of("plain").Notes;
        const string end = "readme.md is not read: its ending shows no format of rows";
        Assert.Contains(notes, note => note.EndsWith(end, StringComparison.Ordinal));
        Assert.Contains(notes, note => note.StartsWith("column 'history' is ignored (1 row", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"prompt": "q", "completion": ["a1", "a2", "a1"]}""", $"a1{End} / a2{End}")]
    [InlineData("""{"question": "q", "context": "c", "answers": {"text": ["a1", "a2"], "answer_start": [0, 3]}}""", $"a1{End} / a2{End}")]
    [InlineData("""{"dialogue": "long talk", "summary": "short"}""", $"short{End}")]
    [InlineData("""{"query": "q", "response": "a", "history": "[[\"q0\", \"a0\"]]"}""", $"a0{End}|a{End}")]
    [InlineData("""{"query": "q", "response": "a", "system_prompt": "s"}""", $"a{End}")]
    [InlineData("""{"conversation": [{"system": "s", "input": "q", "output": "a"}, {"input": "q2", "output": "a2"}]}""", $"a{End}|a2{End}")]
    [InlineData("""{"conversations": {"from": ["human", "gpt"], "value": ["q", "a"]}}""", $"a{End}")]
    [InlineData("""{"messages": "[{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"a\"}]"}""", $"a{End}")]
    [InlineData("""{"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"}""", $"good{End} / bad{End}")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "label": "good"}""", $"a{End}")]
    [InlineData("""{"prompt": "q", "completion": "[{\"name\": \"x\"}]"}""", "[{\"name\": \"x\"}]" + End)]
    [InlineData(
        """{"instruction": "q", "response": "a", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}""",
        $"a{End}")]
    [InlineData(
        """{"problem": "q", "answer": "42", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "It is"""
            + """ 42."}]}""",
        $"It is 42.{End}")]
    [InlineData(
        """{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected_messages": [{"role": "user","""
            + """ "content": "q"}, {"role": "assistant", "content": "b"}]}""",
        $"a{End} / b{End}")]
    [InlineData(
        """{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "chosen": "a", "rejected": "b"}""",
        $"a{End} / b{End}")]
    [InlineData("""{"system": "s", "input": "q", "chosen": "a", "rejected": "b"}""", $"a{End} / b{End}")]
    [InlineData("""{"prompt": "q", "response": "a", "chosen": null, "rejected": null}""", $"a{End}")]
    [InlineData("""{"question": "q", "passage": "p", "answer": true}""", $"true{End}")]
    [InlineData("""{"conversation": [{"human": "q", "assistant": "bad", "loss": 0}, {"human": "q2", "assistant": "a"}]}""", $"a{End}")]
    [InlineData("""{"instruction": "Human rights today:\nHuman: x\nAssistant: y", "output": "a"}""", $"a{End}")]
    public void More_layouts_of_the_field_are_read(string row, string learned) =>
        Assert.Equal(learned, Learned(Write("a.jsonl", row + "\n")));

    [Theory]
    [InlineData("""{"instruction": "q", "output": "a", "rejected_output": "b", "response": "c"}""", "column 'response'", "a second answer")]
    [InlineData("""{"instruction": ["q1", "q2"], "output": "a"}""", "'instruction' is a list, but a text is needed", "fields")]
    [InlineData("""{"instruction": "q", "output": {"a": 1}}""", "'output' is an object, but a text is needed", "fields")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null}]}""",
        "message 2 of 'messages' (assistant) has no content", "null")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}""",
        "the type 'image_url'", "ignore: [image_url]")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "weight": 0}""", "'weight' is 0",
        "ignore: [weight]")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": "[{oops"}""",
        "not a list of tools in JSON", "ignore: [tools]")]
    [InlineData("""{"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "call f"}]}""",
        "a call that is not JSON", "arguments")]
    [InlineData(
        """{"prompt": "other", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role":"""
            + """ "user", "content": "q"}, {"role": "assistant", "content": "b"}]}""",
        "begin differently",
        "ignore: [prompt]")]
    [InlineData(
        """{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tool_calls": [], "conversation_id":"""
            + """ 1, "answer": "zzz"}""",
        "column 'answer'",
        "a second answer")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": ["f"]}]}""",
        "calls a function without a name", "arguments")]
    [InlineData("""{"conversation": [{"human": "q", "assistant": null}]}""", "'assistant' of a message is null", "where")]
    public void What_changes_the_meaning_is_refused_by_name(string row, string what, string hint)
    {
        var fault = ReadingScene.Fault(Write("a.jsonl", "\n" + row + "\n"));
        Assert.Contains("a.jsonl, line 2: ", fault);
        Assert.Contains(what, fault);
        Assert.Contains(hint, fault);
    }
}
