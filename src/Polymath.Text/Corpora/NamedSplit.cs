using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>The part of the data that a file's name says, by the words that Hugging Face's <c>datasets</c> looks for.</summary>
internal static partial class NamedSplit
{
    /// <summary>The part; training rows where the name says nothing.</summary>
    /// <param name="name">The file's name, such as <c>validation-00000-of-00001.parquet</c>.</param>
    internal static DataSplit Of(string name)
    {
        if (Validation().IsMatch(name))
            return DataSplit.Validation;
        return Test().IsMatch(name) ? DataSplit.Test : DataSplit.Train;
    }

    [GeneratedRegex(@"(^|[-._ /])(validation|valid|dev|val)(?=$|[-._ /0-9])", RegexOptions.IgnoreCase)]
    private static partial Regex Validation();

    [GeneratedRegex(@"(^|[-._ /])(test|testing|eval|evaluation)(?=$|[-._ /0-9])", RegexOptions.IgnoreCase)]
    private static partial Regex Test();
}
