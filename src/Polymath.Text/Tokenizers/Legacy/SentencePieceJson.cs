using System.Text.Json.Nodes;

namespace Polymath.Text;

/// <summary>
/// Writes a SentencePiece tokenizer as a <c>tokenizer.json</c> in the form of published files: byte-pair models with a space in front, and
/// unigram models with normalized spaces. A text is then normalized by Hugging Face's rules, which differ from the file's own only for rare
/// characters.
/// </summary>
internal static class SentencePieceJson
{
    private const string Space = "\u2581";

    /// <summary>The file, or null when it cannot be expressed.</summary>
    public static byte[]? Write(SentencePieceFile file, SentencePieceHabits habits)
    {
        if (habits.MarksSpaces || habits.Offset != 0 || habits.Named.Count > 0
            || !file.AddsSpace || !file.EscapesSpaces || file.SpaceEndsWord
            || file.Pieces.Any(piece => piece.Kind == PieceKind.Unused))
            return null;
        return file.Kind switch
        {
            PieceModelKind.Bpe when file.Map is null && !file.DropsSpaces && !habits.SpaceOnlyFirst => Merging(file, habits),
            PieceModelKind.Unigram when file.DropsSpaces => Unigram(file, habits),
            _ => null,
        };
    }

    private static byte[] Merging(SentencePieceFile file, SentencePieceHabits habits)
    {
        var ids = file.Pieces.Index().ToDictionary(entry => entry.Item.Text, entry => entry.Index, StringComparer.Ordinal);
        var normalizer = LegacyJson.Sequence(
            "normalizers", new JsonObject { ["type"] = "Prepend", ["prepend"] = Space },
            new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = Space });
        var decoder = LegacyJson.Sequence(
            "decoders",
            new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = Space }, ["content"] = " " },
            LegacyJson.Stage("ByteFallback"),
            LegacyJson.Stage("Fuse"),
            new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 });
        var unknown = file.Pieces.First(piece => piece.Kind == PieceKind.Unknown).Text;
        return LegacyJson.Compose(
            Added(file, habits),
            normalizer,
            null,
            Post(file, habits),
            decoder,
            LegacyJson.Bpe(
                ids,
                Merges(file),
                unknown,
                file.ByteFallback,
                false));
    }

    private static byte[] Unigram(SentencePieceFile file, SentencePieceHabits habits)
    {
        var normalizer = LegacyJson.Sequence(
            "normalizers",
            file.Map is null
                ? null
                : new JsonObject { ["type"] = "Precompiled", ["precompiled_charsmap"] = Convert.ToBase64String(file.MapBytes) },
            new JsonObject { ["type"] = "Strip", ["strip_left"] = true, ["strip_right"] = true },
            new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["Regex"] = " {2,}" }, ["content"] = " " });
        JsonObject Metaspace() =>
            new() { ["type"] = "Metaspace", ["replacement"] = Space, ["prepend_scheme"] = "always", ["split"] = true };
        var decoder = file.ByteFallback ? LegacyJson.Sequence("decoders", LegacyJson.Stage("ByteFallback"), Metaspace()) : Metaspace();
        var extra = habits.Added.Where(token => token.Id >= file.Pieces.Count).OrderBy(token => token.Id);
        var model = new JsonObject
        {
            ["type"] = "Unigram", ["unk_id"] = file.Pieces.Index().First(entry => entry.Item.Kind == PieceKind.Unknown).Index,
            ["vocab"] = new JsonArray([
                .. file.Pieces.Select(piece => new JsonArray(piece.Text, (double)piece.Score)),
                .. extra.Select(token => new JsonArray(token.Content, 0.0)),
            ]),
            ["byte_fallback"] = file.ByteFallback,
        };
        return LegacyJson.Compose(
            Added(file, habits),
            normalizer,
            Metaspace(),
            Post(file, habits),
            decoder,
            model);
    }

    private static IEnumerable<AddedToken> Added(SentencePieceFile file, SentencePieceHabits habits) => file.Pieces.Index()
        .Where(entry => entry.Item.Kind is PieceKind.Control or PieceKind.UserDefined
            && !habits.Added.Any(token => token.Content == entry.Item.Text))
        .Select(entry => new AddedToken(
            entry.Index,
            entry.Item.Text,
            false,
            false,
            false,
            false,
            entry.Item.Kind == PieceKind.Control))
        .Concat(habits.Added).OrderBy(token => token.Id);

    private static JsonObject? Post(SentencePieceFile file, SentencePieceHabits habits)
    {
        string Name(int id) => id < file.Pieces.Count ? file.Pieces[id].Text : habits.Added.First(token => token.Id == id).Content;
        List<(string, int)> Steps(IReadOnlyList<PostProcessor.Step> steps) => [.. steps.SelectMany(step => step.Sequence switch
        {
            0 => [("A", step.TypeId)],
            > 0 => [("B", step.TypeId)],
            _ => step.Ids.Select(id => (Name(id), step.TypeId)),
        })];
        return LegacyJson.Template(Steps(habits.Post.Single), Steps(habits.Post.Pair), token => file.Pieces.Index()
            .First(entry => entry.Item.Text == token).Index);
    }

    // Every pair of pieces that makes another piece, by decreasing score of the result, then by the ids of the two.
    private static IEnumerable<(string Left, string Right)> Merges(SentencePieceFile file)
    {
        var ids = file.Pieces.Index().Where(entry => entry.Item.Kind is PieceKind.Normal or PieceKind.UserDefined)
            .ToDictionary(entry => entry.Item.Text, entry => entry.Index, StringComparer.Ordinal);
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var piece in file.Pieces.Where(piece => piece.Kind == PieceKind.Normal).OrderByDescending(piece => piece.Score))
        {
            var ways = new List<(int Left, int Right, int Cut)>();
            for (var cut = 1; cut < piece.Text.Length; cut++)
            {
                if (lookup.TryGetValue(piece.Text.AsSpan(0, cut), out var left)
                    && lookup.TryGetValue(piece.Text.AsSpan(cut), out var right))
                    ways.Add((left, right, cut));
            }

            foreach (var (_, _, cut) in ways.Order())
                yield return (piece.Text[..cut], piece.Text[cut..]);
        }
    }
}
