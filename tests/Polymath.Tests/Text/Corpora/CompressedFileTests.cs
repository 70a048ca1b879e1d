using System.Text;
using Polymath.Recipes;
using SharpCompress.Compressors;
using SharpCompress.Compressors.BZip2;

namespace Polymath.Tests.Text.Corpora;

/// <summary>Compressed files: all that is in them is read, and a file that is not whole is refused.</summary>
[Trait("kind", "unit")]
public sealed class CompressedFileTests : IDisposable
{
    private const string End = "<|im_end|>", Two = $"Hi{End} / Bye{End}";

    private readonly ScratchFolder folder = new();

    public static TheoryData<string> Formats => ["gz", "zst", "xz", "bz2"];

    public void Dispose() => folder.Dispose();

    private static byte[] Whole(string format) => File.ReadAllBytes(ReadingScene.At($"43-13.jsonl.{format}"));

    private FilesSpec Written(string format, byte[] content)
    {
        var file = folder.At($"rows.jsonl.{format}");
        File.WriteAllBytes(file, content);
        return ReadingScene.Source(file);
    }

    private static string Learned(FilesSpec spec) => ReadingScene.Learned(ReadingScene.Preview(spec));

    private static string Refusal(FilesSpec spec) =>
        Assert.Throws<InputException>(() => ReadingScene.Corpora(spec).Rows("d")).Message;

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_file_that_is_cut_off_is_refused_wherever_it_is_cut(string format)
    {
        var whole = Whole(format);
        // Before this, nothing says which format it is.
        for (var length = 8; length < whole.Length; length++)
        {
            var fault = Refusal(Written(format, whole[..length]));
            Assert.Contains($"rows.jsonl.{format} cannot be unpacked: ", fault);
            Assert.Contains("Is the file whole? Fetch it again.", fault);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void All_members_of_a_file_are_read(string format)
    {
        var whole = Whole(format);
        // The content has no line end at its end.
        var objects = Written(format, [.. whole, .. whole, .. whole]) with { Format = FileFormat.Json };
        Assert.Equal($"{Two} / {Two} / {Two}", Learned(objects));
        Assert.Contains("cannot be unpacked", Refusal(Written(format, [.. whole, .. whole[..^6]]) with { Format = FileFormat.Json }));
    }

    [Theory]
    [InlineData("gz")]
    [InlineData("xz")]
    public void Other_bytes_after_the_end_are_refused(string format) =>
        Assert.Contains("other bytes follow its end. Is the file whole?", Refusal(Written(format, [.. Whole(format), .. "more rows"u8])));

    [Fact]
    public void Zeros_between_and_after_the_streams_of_xz_are_passed_over()
    {
        var whole = Whole("xz");
        var padded = Written("xz", [.. whole, 0, 0, 0, 0, .. whole, 0, 0, 0, 0, 0, 0, 0, 0]);
        Assert.Equal($"{Two} / {Two}", Learned(padded with { Format = FileFormat.Json }));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(65_500)]
    [InlineData(200_000)]
    public void A_long_text_is_read_to_its_last_letter(int length)
    {
        var text = string.Concat(Enumerable.Range(0, length).Select(i => (char)('a' + i * 7919 % 26)));
        var file = folder.At("long.txt.gz");
        using (var packed = new System.IO.Compression.GZipStream(File.Create(file), System.IO.Compression.CompressionLevel.Fastest))
            packed.Write(Encoding.UTF8.GetBytes(text));
        Assert.Equal(text, Assert.Single(ReadingScene.Corpora(new FilesSpec([file])).Rows("d")).Fields["text"]);
    }

    [Theory]
    [InlineData("utf-16")]
    [InlineData("utf-16BE")]
    [InlineData("utf-32")]
    public void A_packed_text_says_its_encoding_by_a_mark_too(string name)
    {
        var encoding = Encoding.GetEncoding(name);
        byte[] text = [.. encoding.GetPreamble(), .. encoding.GetBytes("{\"instruction\": \"你好\", \"output\": \"ä\"}\n")];
        using var packed = new MemoryStream();
        using (var stream = BZip2Stream.Create(packed, CompressionMode.Compress, decompressConcatenated: false, leaveOpen: true))
            stream.Write(text);
        Assert.Equal($"ä{End}", Learned(Written("bz2", packed.ToArray())));
    }
}
