namespace Polymath.Recipes;

/// <summary>
/// A named source of rows: files (<c>files</c>), a view on another source (<c>view</c>), what an earlier stage has sampled
/// (<c>from</c>), or what people preferred (<c>votes</c>).
/// </summary>
[Case("files", null, typeof(FilesSpec))]
[Case("view", null, typeof(ViewSpec))]
[Case("from", null, typeof(SampledSpec))]
[Case("votes", null, typeof(VotesSpec))]
public abstract record DataSpec;

/// <summary>Rows read from files.</summary>
/// <param name="Files">Paths or globs (relative to the recipe's folder), <c>npm:PACKAGE@VERSION/path/glob</c> for a data package, or
/// <c>hf:datasets/ORG/NAME[@REVISION][/path/glob]</c> (<c>modelscope:</c>) for data on a hub.</param>
/// <param name="Sha512">The package's SHA-512 in base64, with or without the prefix <c>sha512-</c>; needed for a package.</param>
/// <param name="Format">The format of the files; inferred from their names when left out.</param>
/// <param name="Fields">The fields of a row, each with its place in the file; all top-level values under their own names when left
/// out.</param>
/// <param name="Where">Filters a row must pass, in order.</param>
/// <param name="Distinct">A field whose repeated values are dropped, the first one kept.</param>
/// <param name="Split">How rows are split into training, validation and test.</param>
/// <param name="Shape">The shape of published data. Rows are converted from it to one form, with the fields <c>messages</c>, <c>chosen</c>,
/// <c>rejected</c>, <c>label</c>, <c>text</c>. With a shape, <paramref name="Fields"/> says which columns hold the shape's own fields, and
/// filters see the columns of the files.</param>
/// <param name="Roles">The role that a speaker's name stands for, such as <c>{human: user, bot: assistant}</c>, in addition to the known
/// names.</param>
/// <param name="Ignore">What is left out of the rows: columns, keys of messages, roles of messages, and types of content.</param>
/// <param name="Part">One of several equal parts of the rows, such as <c>1 of 3</c>, for adapters that are trained separately; every row is
/// in one part.</param>
/// <param name="Sample">How many of the rows are taken, drawn by the recipe's seed; more than there are repeat rows.</param>
/// <param name="Validation">Files of validation rows; <paramref name="Split"/> then takes none from the others.</param>
/// <param name="Test">Files of test rows; <paramref name="Split"/> then takes none from the others.</param>
/// <param name="Documents">What of a text file is a row: <c>line</c> (when left out), <c>paragraph</c> (lines between blank lines, joined
/// by spaces), <c>blank-line</c> (the same, with their line ends), <c>file</c>, or a mark that stands between documents. Of a
/// <c>file</c> the last parts are validation and test.</param>
public sealed record FilesSpec(
    [Means(Meaning.Files)] IReadOnlyList<string> Files,
    string? Sha512 = null,
    FileFormat? Format = null,
    IReadOnlyDictionary<string, FieldSpec>? Fields = null,
    IReadOnlyList<FilterSpec>? Where = null,
    string? Distinct = null,
    SplitSpec? Split = null,
    DataShape? Shape = null,
    IReadOnlyDictionary<string, string>? Roles = null,
    IReadOnlyList<string>? Ignore = null,
    string? Part = null,
    [Bounds(1, 100000000)] int? Sample = null,
    [Means(Meaning.Files)] IReadOnlyList<string>? Validation = null,
    [Means(Meaning.Files)] IReadOnlyList<string>? Test = null,
    string? Documents = null) : DataSpec
{
    /// <summary>All addresses of files: of training, validation and test rows.</summary>
    public IEnumerable<string> Addresses() => [.. Files, .. Validation ?? [], .. Test ?? []];
}

/// <summary>The rows of another source that pass filters, with fields added; each row stays in the split it is in.</summary>
/// <param name="View">The source.</param>
/// <param name="Where">Filters a row must pass, in order.</param>
/// <param name="Fields">Fields to add: text in which <c>{field}</c> stands for a field's value.</param>
/// <param name="Part">One of several equal parts of the rows, such as <c>1 of 3</c>.</param>
/// <param name="Few">Takes few of the training rows, and as many others for validation.</param>
public sealed record ViewSpec(
    [Means(Meaning.DataName)] string View,
    IReadOnlyList<FilterSpec>? Where = null,
    IReadOnlyDictionary<string, string>? Fields = null,
    string? Part = null,
    FewSpec? Few = null) : DataSpec;

/// <summary>
/// A few-shot setting (Gao et al. 2021): of the training rows so many of each value of a field are for training and as many others for
/// validation. Test rows stay; all other rows are left out.
/// </summary>
/// <param name="By">The field, such as the label.</param>
/// <param name="Count">The rows of each value.</param>
/// <param name="Seed">Which rows; the recipe's seed when left out. A row's place in its file does not matter.</param>
public sealed record FewSpec(
    string By,
    [Bounds(1, 1000000)] int Count,
    int? Seed = null);

/// <summary>The formats rows are read from.</summary>
public enum FileFormat
{
    /// <summary>Text, in the field <c>text</c>: a row a line, or as <c>documents</c> says.</summary>
    Txt,

    /// <summary>One JSON object a line.</summary>
    Jsonl,

    /// <summary>One JSON array of objects, or objects one after another.</summary>
    Json,

    /// <summary>Values separated by commas, semicolons or tabs, with a header line (RFC 4180).</summary>
    Csv,

    /// <summary>Apache Parquet.</summary>
    Parquet,

    /// <summary>Apache Arrow, as a file or as a stream.</summary>
    Arrow,
}

/// <summary>The shapes of published data.</summary>
public enum DataShape
{
    /// <summary>Recognised row by row.</summary>
    Auto,

    /// <summary><c>instruction</c>, <c>input</c>, <c>output</c>, with <c>system</c> and <c>history</c>.</summary>
    Alpaca,

    /// <summary>Alpaca's fields, with several turns in the instruction.</summary>
    Belle,

    /// <summary><c>conversations</c> of <c>from</c> and <c>value</c>, with <c>tools</c>.</summary>
    Sharegpt,

    /// <summary>OpenAI's <c>messages</c> of <c>role</c> and <c>content</c>, with <c>tools</c>.</summary>
    Messages,

    /// <summary>A prompt with <c>chosen</c> and <c>rejected</c>, flat or as messages.</summary>
    Preference,

    /// <summary>A prompt and an answer with a label true or false.</summary>
    Kto,

    /// <summary>A prompt, the steps of an answer, and for each whether it is right.</summary>
    Steps,

    /// <summary>A text.</summary>
    Text,

    /// <summary>A text and its label.</summary>
    Labelled,
}

/// <summary>The place of a field's value.</summary>
/// <param name="Path">The key, or keys joined by dots.</param>
/// <param name="Join">What is put between the items of a list. A list is trained as a text only if this is given; filters see its items on
/// lines of their own when it is left out.</param>
/// <param name="Match">A pattern that selects a part of the value: the pattern's first group, or the whole match where it has no group.
/// Nothing is selected where the pattern is not found.</param>
[Shorthand(nameof(Path))]
public sealed record FieldSpec(string Path, string? Join = null, [Means(Meaning.Pattern)] string? Match = null);

/// <summary>A condition on one field of a row; every part that is given must hold.</summary>
/// <param name="Field">The field.</param>
/// <param name="Matches">A regular expression that must be found in the value.</param>
/// <param name="Lacks">A regular expression that must not be found in the value.</param>
/// <param name="In">The values allowed.</param>
/// <param name="NotIn">The values refused.</param>
/// <param name="MostFrequent">Keeps the rows with the N most frequent values among the rows that passed so far (ties: the value that comes
/// first in ordinal order).</param>
/// <param name="MinimumLength">The least length, in characters (Unicode code points).</param>
/// <param name="MaximumLength">The greatest length, in characters (Unicode code points).</param>
public sealed record FilterSpec(
    string Field,
    [Means(Meaning.Pattern)] string? Matches = null,
    [Means(Meaning.Pattern)] string? Lacks = null,
    IReadOnlyList<string>? In = null,
    IReadOnlyList<string>? NotIn = null,
    [Bounds(1)] int? MostFrequent = null,
    [Bounds(0)] int? MinimumLength = null,
    [Bounds(0)] int? MaximumLength = null);

/// <summary>How rows are split: by a stable hash of some fields. A row stays in its part when the order of files or rows changes.</summary>
/// <param name="Validation">The share of rows for validation.</param>
/// <param name="Test">The share of rows for testing.</param>
/// <param name="By">The fields that are hashed; rows with equal values in them stay together. All fields when left out.</param>
public sealed record SplitSpec(
    [Bounds(0, 0.9)] double Validation = 0.01,
    [Bounds(0, 0.9)] double Test = 0.01,
    IReadOnlyList<string>? By = null);

/// <summary>The parts rows are split into.</summary>
public enum DataSplit
{
    /// <summary>Rows for training.</summary>
    Train,

    /// <summary>Rows for choosing settings and checkpoints.</summary>
    Validation,

    /// <summary>Rows for the final figures.</summary>
    Test,
}
