using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Tokenizers;

/// <summary>
/// What a tokenizer's own file does not say: tokens beside <c>tokenizer.json</c>, the pattern and the special tokens of tiktoken's ranks.
/// </summary>
[Trait("kind", "parity")]
public sealed class TokensBesideTests
{
    public static TheoryData<string> Added => Folders("added");

    public static TheoryData<string> Ranks => Folders("tiktoken");

    private static TheoryData<string> Folders(string name) =>
        [.. Directory.GetDirectories(TextFixtures.At("own", name)).Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Added))]
    public void Tokens_beside_a_tokenizer_are_those_of_transformers(string name)
    {
        var folder = TextFixtures.At("own", "added", name);
        var tokenizer = Tokenizer.Load(folder);
        var (count, differences) = TokenizerCases.Run(tokenizer, Path.Combine(folder, "cases.json"));
        Assert.True(count > 5);
        Assert.Empty(differences);
        // The saved file includes them.
        using var scratch = new ScratchFolder();
        tokenizer.Save(scratch.Path);
        Assert.Empty(TokenizerCases.Run(Tokenizer.Load(scratch.Path), Path.Combine(folder, "cases.json")).Differences);
    }

    [Fact]
    public void A_named_token_without_a_row_is_left_out_and_a_listed_one_with_an_id_stays()
    {
        var folder = TextFixtures.At("own", "added", "named");
        var all = Tokenizer.Load(folder);
        var rows = all.Describe().ModelSize;
        Assert.True(all.VocabularySize > rows);
        Assert.Equal(rows, Tokenizer.Load(folder, rows).VocabularySize);
        Assert.Null(Tokenizer.Load(folder, rows).IdOf("[PAD]"));
        Assert.Equal(all.VocabularySize, Tokenizer.Load(folder, all.VocabularySize).VocabularySize);
    }

    [Theory]
    [MemberData(nameof(Ranks))]
    public void Ranks_are_split_as_their_vocabulary_is(string name)
    {
        var folder = TextFixtures.At("own", "tiktoken", name);
        var (count, differences) = TokenizerCases.Run(Tokenizer.Load(folder), Path.Combine(folder, "cases.json"));
        Assert.True(count > 90);
        Assert.Empty(differences);
    }

    [Theory]
    [InlineData("p50k_edit", "<|fim_suffix|>", 50283)]
    [InlineData("cl100k_base", "<|endofprompt|>", 100276)]
    [InlineData("o200k_base", "<|endoftext|>", 199999)]
    [InlineData("o200k_harmony", "<|channel|>", 200005)]
    [InlineData("o200k_harmony", "<|reserved_201087|>", 201087)]
    public void Special_tokens_have_their_published_ids(string name, string token, int id) =>
        Assert.Equal(id, Tokenizer.Load(TextFixtures.At("own", "tiktoken", name)).SpecialTokens[token]);

    [Theory]
    [InlineData("chatgpt2024_p50k.tiktoken", null)]
    [InlineData("my-gpt2.tiktoken", "gpt2")]
    [InlineData("my.o200k_base.tiktoken", "o200k_base")]
    [InlineData("xo200k_based.tiktoken", null)]
    public void A_name_counts_as_a_whole_word(string file, string? name) =>
        Assert.Equal(name, TiktokenVocabulary.Of(file, "", new Dictionary<string, int> { ["a"] = 0 }, [])?.Name);

    [Fact]
    public void Ranks_of_no_known_vocabulary_are_refused_until_something_says_how_they_are_split()
    {
        using var folder = new ScratchFolder();
        var known = TextFixtures.At("own", "tiktoken", "cl100k_base");
        File.Copy(Path.Combine(known, "cl100k_base.tiktoken"), folder.At("mine.tiktoken"));
        var message = Assert.Throws<InputException>(() => Tokenizer.Load(folder.Path)).Message;
        Assert.Contains("the 1,000 ranks belong to no known vocabulary (r50k_base, p50k_base", message, StringComparison.Ordinal);
        Assert.Contains("\"pat_str\"", message, StringComparison.Ordinal);
        File.WriteAllText(
            folder.At("tokenizer_config.json"),
            """{"pat_str": "\\S+|\\s+", "added_tokens_decoder": {"1000": {"content": "<e>", "special": true}}}""");
        var tokenizer = Tokenizer.Load(folder.Path);
        Assert.Equal(1000, tokenizer.IdOf("<e>"));
        Assert.Equal("a1 b", Tokenizer.Load(known).Decode(tokenizer.Encode("a1 b")));
        File.WriteAllText(
            folder.At("tokenizer_config.json"),
            """{"added_tokens_decoder": {"1000": {"content": "<|begin_of_text|>", "special": true}}}""");
        var llama = Tokenizer.Load(folder.Path);
        Assert.Equal([1000, .. llama.Encode("a b")], llama.Encode("a b", true));
        Assert.Equal(1009, llama.SpecialTokens["<|eot_id|>"]);
    }
}

/// <summary>Unicode's normal forms of long runs of marks.</summary>
[Trait("kind", "invariant")]
public sealed class MarkOrderTests
{
    private const string Marks = "\u0301\u0316\u0323\u0345\u0334";

    private static string Row(int count, int seed)
    {
        var random = new RandomStream(seed, "marks");
        return string.Concat(Enumerable.Range(0, count).Select(_ => Marks[random.Next(Marks.Length)]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("\u1EA3b")]
    public void Marks_are_sorted_by_class_and_those_of_one_class_keep_their_order(string start)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var row = Row(seed * 7, seed);
            // The classes: 1, 220, 220, 230, 240.
            var right = row.OrderBy(mark => "\u0334\u0316\u0301\u0345".IndexOf(mark == '\u0323' ? '\u0316' : mark));
            var found = UnicodeForms.Apply("xx" + row, UnicodeForm.Nfd);
            Assert.Equal("xx" + string.Concat(right), found);
            Assert.Equal(UnicodeForms.Apply(start + found[2..], UnicodeForm.Nfc), UnicodeForms.Apply(start + row, UnicodeForm.Nfc));
        }
    }

    [Fact]
    public void Long_rows_of_marks_take_time_in_proportion()
    {
        var text = Row(300_000, 1);
        var started = System.Diagnostics.Stopwatch.GetTimestamp();
        foreach (var form in Enum.GetValues<UnicodeForm>()) Assert.Equal(text.Length, UnicodeForms.Apply(text, form).Length);
        // About a tenth of a second; an insertion sort took minutes.
        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 20);
    }
}
