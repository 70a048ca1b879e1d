using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>The kinds of pieces of a SentencePiece file, with the file's numbers.</summary>
internal enum PieceKind
{
    /// <summary>Learned from text.</summary>
    Normal = 1,

    /// <summary>Stands for text that no other piece can write.</summary>
    Unknown = 2,

    /// <summary>A control piece without text.</summary>
    Control = 3,

    /// <summary>Always kept whole.</summary>
    UserDefined = 4,

    /// <summary>Must not be produced.</summary>
    Unused = 5,

    /// <summary>Stands for a byte.</summary>
    Byte = 6,
}

/// <summary>A piece of a SentencePiece file.</summary>
internal readonly record struct SentencePiece(string Text, float Score, PieceKind Kind);

/// <summary>The kinds of models, by the numbers the file uses.</summary>
internal enum PieceModelKind
{
    /// <summary>A unigram language model.</summary>
    Unigram = 1,

    /// <summary>Byte-pair encoding.</summary>
    Bpe = 2,

    /// <summary>One piece per word.</summary>
    Word = 3,

    /// <summary>One piece per character.</summary>
    Character = 4,
}

/// <summary>The parts of a SentencePiece file (<c>tokenizer.model</c>) that affect ids and text (Kudo and Richardson 2018).</summary>
internal sealed class SentencePieceFile
{
    private const int MostPieces = 1 << 24;
    private readonly List<SentencePiece> pieces = [];

    private SentencePieceFile(string name) => Name = name;

    /// <summary>The file, for messages.</summary>
    public string Name { get; }

    /// <summary>The pieces in the order of their ids.</summary>
    public IReadOnlyList<SentencePiece> Pieces => pieces;

    /// <summary>The kind of the model.</summary>
    public PieceModelKind Kind { get; private set; } = PieceModelKind.Unigram;

    /// <summary>Whether unknown characters are written as bytes.</summary>
    public bool ByteFallback { get; private set; }

    /// <summary>Whether the sign for a space ends a word instead of beginning it.</summary>
    public bool SpaceEndsWord { get; private set; }

    /// <summary>The text of the unknown piece.</summary>
    public string UnknownText { get; private set; } = " \u2047 ";

    /// <summary>The table of replacements, or null.</summary>
    public PrecompiledCharacterMap? Map { get; private set; }

    /// <summary>The bytes of the table of replacements; empty when there is none.</summary>
    public byte[] MapBytes { get; private set; } = [];

    /// <summary>Whether a space is put in front.</summary>
    public bool AddsSpace { get; private set; } = true;

    /// <summary>Whether spaces at the ends and repeated ones are dropped.</summary>
    public bool DropsSpaces { get; private set; } = true;

    /// <summary>Whether spaces are written as a sign.</summary>
    public bool EscapesSpaces { get; private set; } = true;

    /// <summary>Whether a file looks like a SentencePiece file and not like lines of text.</summary>
    public static bool LooksLike(ReadOnlySpan<byte> bytes) => bytes.Length > 2 && bytes[0] == 0x0A && bytes[2] is 0x0A or 0x15 or 0x18;

    /// <summary>Reads a file.</summary>
    /// <exception cref="InputException">It is cut off, damaged or contradicts itself.</exception>
    public static SentencePieceFile Read(string name, ReadOnlySpan<byte> bytes)
    {
        var file = new SentencePieceFile(name);
        var reader = new ProtobufReader(name, bytes);
        while (reader.Next())
        {
            if (reader.Field == 1)
                file.ReadPiece(reader.Bytes());
            else if (reader.Field == 2)
                file.ReadTrainer(reader.Bytes());
            else if (reader.Field == 3)
                file.ReadNormalizer(reader.Bytes());
        }

        file.Check();
        return file;
    }

    /// <summary>The same file with more pieces after its own and bytes for unknown characters.</summary>
    public SentencePieceFile With(IEnumerable<SentencePiece> more)
    {
        var result = new SentencePieceFile(Name)
        {
            Kind = Kind, ByteFallback = true, SpaceEndsWord = SpaceEndsWord, UnknownText = UnknownText, Map = Map, MapBytes = MapBytes,
            AddsSpace = AddsSpace, DropsSpaces = DropsSpaces, EscapesSpaces = EscapesSpaces,
        };
        result.pieces.AddRange(pieces);
        result.pieces.AddRange(more);
        result.Check();
        return result;
    }

    /// <summary>The fault for a damaged file.</summary>
    public static InputException Fault(string name, string what) =>
        new($"{name} is not a valid SentencePiece file: {what}. Fetch or save the file again.");

    private void ReadPiece(ReadOnlySpan<byte> bytes)
    {
        var (text, score, kind) = ("", 0f, 1);
        var reader = new ProtobufReader(Name, bytes);
        while (reader.Next())
        {
            if (reader.Field == 1)
                text = reader.Text();
            else if (reader.Field == 2)
                score = reader.Single();
            else if (reader.Field == 3)
                kind = reader.Integer();
        }

        if (text.Length == 0)
            throw Fault(Name, $"piece {pieces.Count} is empty");
        if (kind is < 1 or > 6)
            throw Fault(Name, $"piece {pieces.Count} is of the unknown kind {kind}");
        if (pieces.Count >= MostPieces)
            throw Fault(Name, $"it has more than {MostPieces} pieces");
        pieces.Add(new(text, score, (PieceKind)kind));
    }

    private void ReadTrainer(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtobufReader(Name, bytes);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 3:
                    Kind = reader.Integer() is >= 1 and <= 4 and var kind
                        ? (PieceModelKind)kind
                        : throw reader.Fault($"the model is of the unknown kind {reader.Integer()}");
                    break;
                case 24:
                    SpaceEndsWord = reader.Flag();
                    break;
                case 35:
                    ByteFallback = reader.Flag();
                    break;
                case 44:
                    UnknownText = reader.Text();
                    break;
            }
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtobufReader(Name, bytes);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 2:
                    MapBytes = reader.Bytes().ToArray();
                    Map = reader.Bytes().IsEmpty ? null : new PrecompiledCharacterMap(reader.Bytes(), what => Fault(Name, what));
                    break;
                case 3:
                    AddsSpace = reader.Flag();
                    break;
                case 4:
                    DropsSpaces = reader.Flag();
                    break;
                case 5:
                    EscapesSpaces = reader.Flag();
                    break;
            }
        }
    }

    private void Check()
    {
        if (pieces.Count == 0)
            throw Fault(Name, "it has no pieces");
        if (pieces.Count(piece => piece.Kind == PieceKind.Unknown) != 1)
            throw Fault(Name, $"it has {pieces.Count(piece => piece.Kind == PieceKind.Unknown)} unknown pieces instead of one");
        var bytes = pieces.Where(piece => piece.Kind == PieceKind.Byte).Select(piece => ByteFallbackStage.ByteOf(piece.Text)).ToHashSet();
        if (bytes.Contains(-1))
            throw Fault(Name, "a piece for a byte does not name one");
        if (ByteFallback && bytes.Count != 256)
            throw Fault(Name, $"it writes unknown characters as bytes, but has pieces for only {bytes.Count} of the 256");
        var learned = new HashSet<string>(StringComparer.Ordinal);
        foreach (var piece in pieces.Where(piece => piece.Kind is PieceKind.Normal or PieceKind.UserDefined or PieceKind.Unused))
        {
            if (!learned.Add(piece.Text))
                throw Fault(Name, $"the piece '{piece.Text}' is there twice");
        }
    }
}
