using System.Text;

namespace Polymath.Text;

/// <summary>Makes a chain of decoding steps that ends in a text.</summary>
internal delegate DecoderStage DecoderFactory(StringBuilder text);

/// <summary>Reads the decoder of a tokenizer file.</summary>
internal static class DecoderReader
{
    private delegate DecoderStage Link(DecoderStage next);

    /// <summary>Reads the decoder; without one, tokens are joined by spaces.</summary>
    public static DecoderFactory Read(JsonPart? part)
    {
        if (part is not { } given)
            return text => new CollectingStage(text, " ");
        var links = new List<Link>();
        var fused = false;
        Collect(given, links, ref fused);
        return text => Enumerable.Reverse(links).Aggregate((DecoderStage)new CollectingStage(text, ""), (next, link) => link(next));
    }

    // 'fused' says whether the earlier steps have joined all tokens into one, which later steps then see as a single token.
    private static void Collect(JsonPart part, List<Link> links, ref bool fused)
    {
        var joined = fused;
        switch (part.Get("type").Text())
        {
            case "Sequence":
                foreach (var item in part.Get("decoders").Items())
                    Collect(item, links, ref fused);
                break;
            case "ByteLevel":
                links.Add(next => new ByteLevelStage(next));
                fused = true;
                break;
            case "ByteFallback":
                links.Add(next => new ByteFallbackStage(next));
                break;
            case "Fuse":
                fused = true;
                break;
            default:
                links.Add(Simple(part, joined));
                break;
        }
    }

    private static Link Simple(JsonPart part, bool joined)
    {
        switch (part.Get("type").Text())
        {
            case "Replace":
                var (pattern, content) = (TextPattern.Read(part.Get("pattern")), part.Get("content").Text());
                return next => new ReplaceStage(next, pattern, content, joined);
            case "Strip":
                var (sign, start, stop) =
                    (Character(part.Get("content")), part.Get("start").Integer(0, 65536), part.Get("stop").Integer(0, 65536));
                return next => new StripStage(
                    next,
                    sign,
                    start,
                    stop,
                    joined);
            case "Metaspace":
                var (space, prepended) = (Character(part.Get("replacement")), PreTokenizerReader.PrependScheme(part) != "never");
                return next => new MetaspaceStage(next, space, prepended, joined);
            case "BPEDecoder":
                var suffix = part.Get("suffix").Text();
                if (suffix.Length == 0)
                    throw part.Fault("the suffix is empty");
                return next => new WordSuffixStage(next, suffix);
            case "WordPiece":
                var (prefix, cleans) = (part.Find("prefix")?.Text() ?? "##", part.Find("cleanup")?.Flag() ?? true);
                return next => new WordPieceStage(next, prefix, cleans, joined);
            case "CTC":
                var (pad, delimiter) = (part.Find("pad_token")?.Text() ?? "<pad>", part.Find("word_delimiter_token")?.Text() ?? "|");
                var tidies = part.Find("cleanup")?.Flag() ?? true;
                return next => new ConnectionistStage(
                    next,
                    pad,
                    delimiter,
                    tidies,
                    joined);
            case var other:
                throw part.Fault($"the decoder '{other}' is not known; known are ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, "
                    + "BPEDecoder, WordPiece, CTC, Sequence");
        }
    }

    /// <summary>Reads a text of one character.</summary>
    public static char Character(JsonPart part) =>
        part.Text() is { Length: 1 } text ? text[0] : throw part.Fault($"one character is needed here, found '{part.Text()}'");
}
